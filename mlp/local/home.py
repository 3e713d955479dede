"""The folder that holds a platform on this machine: its path, its layout and its permissions."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlp.shared.checkout import HOME_VARIABLE, home_folder
from mlp.shared.errors import PlatformError

_LOCK_POLL_S = 0.2


@dataclass(frozen=True)
class Home:
    """The paths of one platform; making this value touches nothing on disk."""

    path: Path

    @property
    def state_file(self) -> Path:
        """Return the path of the record of what was started, and on which ports."""
        return self.path / "state.json"

    @property
    def lock_file(self) -> Path:
        """Return the path of the lock that `mlp up` and `mlp down` hold while they work."""
        return self.path / "lock"

    @property
    def credentials_file(self) -> Path:
        """Return the path of the generated passwords."""
        return self.path / "credentials.json"

    @property
    def outputs_file(self) -> Path:
        """Return the path of the outputs of the `local` stack, as applied to the emulator."""
        return self.path / "outputs.json"

    @property
    def ray_token_file(self) -> Path:
        """Return the path of the token that Ray's clients must send."""
        return self.path / "ray_token"

    @property
    def mlflow_auth_file(self) -> Path:
        """Return the path of the settings of MLflow's login, with the password of its database."""
        return self.path / "mlflow_auth.ini"

    @property
    def postgres_data(self) -> Path:
        """Return the path of PostgreSQL's data folder, or of a link to it."""
        return self.path / "postgres"

    @property
    def artifacts(self) -> Path:
        """Return the folder of MLflow's artifacts."""
        return self.path / "store" / "artifacts"

    @property
    def data(self) -> Path:
        """Return the folder of data sets, one subfolder each."""
        return self.path / "store" / "data"

    @property
    def checkpoints(self) -> Path:
        """Return the folder of training runs, one subfolder each."""
        return self.path / "store" / "checkpoints"

    @property
    def registry(self) -> Path:
        """Return the folder of the model registry's moves: which version got which alias, and from whom."""
        return self.path / "store" / "registry"

    def log(self, service: str) -> Path:
        """Return the path of a service's log."""
        return self.path / "logs" / f"{service}.log"


def find_home(environ: Mapping[str, str] = os.environ, folder: Path | None = None) -> Home:
    """Return the home in `home_folder`; raise PlatformError where there is none."""
    return Home(home_folder(environ, folder))


def prepare(home: Home) -> None:
    """Create the folders, readable by this user only.

    Raises PlatformError where the path is a file, or a folder with other things in it.
    """
    if home.path.exists() and not home.path.is_dir():
        raise PlatformError(
            f"{home.path} is a file; the platform keeps its data in a folder of that name: move the file away"
        )
    if home.path.is_dir() and not home.lock_file.exists() and any(home.path.iterdir()):
        raise PlatformError(
            f"{home.path} holds other files; set {HOME_VARIABLE} to a folder that is new, empty or a platform's own"
        )
    home.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Root's PostgreSQL runs as another user, who must reach its data folder in here: passing through, not reading.
    home.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
    home.lock_file.touch(mode=0o600)
    for folder in (home.log("any").parent, home.artifacts, home.data, home.checkpoints, home.registry):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.artifacts.parent.chmod(0o700)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; raise ValueError when it holds anything else."""
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"holds a {type(value).__name__}, not an object")  # noqa: TRY004  as for broken JSON
    return value


@contextmanager
def locked(home: Home, *, wait_s: float, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Keep other `mlp up` and `mlp down` of this home out; call `on_wait` once when one is at work.

    Raises PlatformError when it is still at work after `wait_s`. A lock ends with its process, however that ends.
    """
    with home.lock_file.open("a+", encoding="utf-8") as file:
        deadline = time.monotonic() + wait_s
        has_reported = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
            if time.monotonic() >= deadline:
                raise PlatformError(
                    f"another mlp (process {holder}) has been at work on {home.path} for over {wait_s:.0f} s; "
                    "wait for it, or end it, and run the command again"
                )
            if not has_reported:
                on_wait(f"waiting for another mlp (process {holder}) at work on {home.path}")
                has_reported = True
            time.sleep(_LOCK_POLL_S)
        file.truncate(0)
        with suppress(OSError):  # a full disk: the number is for messages only
            file.write(str(os.getpid()))
            file.flush()
        yield

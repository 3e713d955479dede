"""MLflow's own server with its login, on a real PostgreSQL, as `mlp up` runs them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlp.local.credentials import ensure_credentials
from mlp.local.home import Home, prepare
from mlp.local.mlflow_server import MlflowServer
from mlp.local.postgres import Postgres, database_url
from mlp.local.state import load_state
from mlp.local.supervisor import Supervisor
from tests.mlp.local.builders import Told
from workloads.environment import PlatformEnvironment


@contextmanager
def real_servers() -> Iterator[tuple[PlatformEnvironment, str]]:
    """Start the servers within the context; yield a workload's environment and the URL of the database of runs."""
    folder = Path(tempfile.mkdtemp(prefix="mlp-servers-"))
    folder.chmod(0o755)  # root's PostgreSQL runs as another user
    home = Home(folder / "home")
    prepare(home)
    credentials = ensure_credentials(home)
    services = Supervisor(home, [Postgres(home, credentials), MlflowServer(home, credentials)], Told())
    try:
        services.up({})
        ports = load_state(home).state.ports
        environment = PlatformEnvironment(
            tracking_uri=f"http://127.0.0.1:{ports['mlflow']}",
            tracking_username=credentials.mlflow_username,
            tracking_password=credentials.mlflow_password,
            registry=str(home.registry),
            code_version="release-1",
        )
        yield environment, database_url(credentials, ports)
    finally:
        services.down()
        shutil.rmtree(folder)

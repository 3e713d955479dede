"""The MLflow tracking server: runs and users in PostgreSQL, artifacts in a folder, a login for everything."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping

from infra.services.mlflow_access import AUTHORIZATION_FUNCTION
from mlp.local.credentials import Credentials
from mlp.local.home import Home
from mlp.local.postgres import MLFLOW_AUTH_DATABASE, MLFLOW_DATABASE
from mlp.local.processes import Launch
from mlp.local.service import HOST, Service, ask, require_package
from mlp.shared.checkout import REPOSITORY

_AUTH_SETTINGS = """\
[mlflow]
default_permission = READ
database_uri = {database_uri}
admin_username = {username}
authorization_function = {authorization_function}
auth_cache_ttl_seconds = 60
"""
_MODULES = REPOSITORY / "images" / "mlflow"
"""Folder of the modules that the server's image adds to MLflow."""


class MlflowServer(Service):
    """A server of one worker, as each process caches checked logins. Secrets go by environment and file, never argv."""

    name = "mlflow"
    port_names = ("mlflow",)
    needs = ("postgres",)

    def __init__(self, home: Home, credentials: Credentials) -> None:
        self._home = home
        self._credentials = credentials

    def prepare(self) -> None:
        """Check that MLflow is installed."""
        require_package("mlflow")

    def launch(self, ports: Mapping[str, int]) -> Launch:
        """Return how to start the server with its login, on loopback."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(ports["mlflow"])]
        command += ["--workers", "1", "--app-name", "basic-auth", "--uvicorn-opts", "--no-access-log"]
        command += ["--artifacts-destination", self._home.artifacts.as_uri()]
        database_uri = _database_uri(MLFLOW_DATABASE, self._credentials.mlflow_database_password, ports["postgres"])
        environment = {
            "PYTHONPATH": str(_MODULES),
            "MLFLOW_BACKEND_STORE_URI": database_uri,
            "MLFLOW_AUTH_CONFIG_PATH": str(self._home.mlflow_auth_file),
            "MLFLOW_AUTH_ADMIN_USERNAME": self._credentials.mlflow_username,
            "MLFLOW_AUTH_ADMIN_PASSWORD": self._credentials.mlflow_password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": self._credentials.mlflow_secret_key,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # jobs of generative AI: five more processes, unused
        }
        users_uri = _database_uri(
            MLFLOW_AUTH_DATABASE, self._credentials.mlflow_auth_database_password, ports["postgres"]
        )
        settings = _AUTH_SETTINGS.format(
            database_uri=users_uri,
            username=self._credentials.mlflow_username,
            authorization_function=AUTHORIZATION_FUNCTION,
        )
        return Launch(
            command=command,
            folder=self._home.path,
            environment=environment,
            files={self._home.mlflow_auth_file: settings},
        )

    def check(self, ports: Mapping[str, int]) -> None:
        """Check that the server answers, and that a request with the login reaches the database."""
        ask(ports["mlflow"], "/health")
        login = f"{self._credentials.mlflow_username}:{self._credentials.mlflow_password}"
        ask(
            ports["mlflow"],
            "/api/2.0/mlflow/experiments/search",
            method="POST",
            body=json.dumps({"max_results": 1}),
            headers={
                "Authorization": f"Basic {base64.b64encode(login.encode()).decode()}",
                "Content-Type": "application/json",
            },
        )

    def url(self, ports: Mapping[str, int]) -> str:
        """Return the tracking URI, which is also the page for people."""
        return f"http://{HOST}:{ports['mlflow']}"


def _database_uri(database: str, password: str, port: int) -> str:
    # The driver is named: for a bare `postgresql:` SQLAlchemy 2.1 takes another one than MLflow is tested with.
    return f"postgresql+psycopg2://{database}:{password}@{HOST}:{port}/{database}"

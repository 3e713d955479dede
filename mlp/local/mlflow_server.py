"""The MLflow tracking server: runs and users in PostgreSQL, artifacts in a folder, a login for everything."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping

from infra.servers import mlflow
from infra.servers.database_url import database_url
from infra.servers.places import settings_in
from mlp.local.credentials import Credentials
from mlp.local.home import Home
from mlp.local.processes import Launch
from mlp.local.service import HOST, Service, ask, require_package
from mlp.shared.checkout import REPOSITORY

_MODULES = REPOSITORY / "images" / "mlflow"
"""Folder of the modules that the server's image adds to MLflow."""


class MlflowServer(Service):
    """The server on this machine. Secrets go by environment and file, never argv."""

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
        command += [f"--{name}={value}" for name, value in settings_in("laptop", mlflow.ARGUMENTS).items()]
        command += ["--artifacts-destination", self._home.artifacts.as_uri()]
        records = _database_url(mlflow.DATABASE, self._credentials.mlflow_database_password, ports["postgres"])
        environment = {
            **settings_in("laptop", mlflow.ENVIRONMENT),
            "MLFLOW_BACKEND_STORE_URI": records,
            "PYTHONPATH": str(_MODULES),
            "MLFLOW_AUTH_CONFIG_PATH": str(self._home.mlflow_auth_file),
            "MLFLOW_AUTH_ADMIN_USERNAME": self._credentials.mlflow_username,
            "MLFLOW_AUTH_ADMIN_PASSWORD": self._credentials.mlflow_password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": self._credentials.mlflow_secret_key,
        }
        accounts = _database_url(
            mlflow.AUTH_DATABASE, self._credentials.mlflow_auth_database_password, ports["postgres"]
        )
        login = {
            **settings_in("laptop", mlflow.LOGIN),
            "database_uri": accounts,
            "admin_username": self._credentials.mlflow_username,
        }
        settings = "".join(f"{name} = {value}\n" for name, value in login.items())
        return Launch(
            command=command,
            folder=self._home.path,
            environment=environment,
            files={self._home.mlflow_auth_file: f"[mlflow]\n{settings}"},
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


def _database_url(database: str, password: str, port: int) -> str:
    return database_url(mlflow.DRIVER, user=database, password=password, host=HOST, port=port, database=database)

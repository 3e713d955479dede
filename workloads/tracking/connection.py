"""The connection to the tracking server, checked with its login within seconds and before any work is done."""

from __future__ import annotations

import base64
import http.client
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from workloads.environment import TRACKING_PASSWORD, TRACKING_URI, TRACKING_USERNAME, PlatformEnvironment
from workloads.errors import TrackingError, TrackingUnreachable, first_line

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROBE_TIMEOUT_S = 5
CLIENT_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # MLflow's own 7 block a run for minutes when the server is gone
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout is for results
    "GIT_PYTHON_REFRESH": "quiet",  # there is no git in the training image
}
LOGIN_STEP = 'run `eval "$(mlp env)"` in this shell'


def tracking_uri(environment: PlatformEnvironment, *, can_go_without: bool = False) -> str:
    """Return MLFLOW_TRACKING_URI; raise TrackingError that names the next step when it is unset."""
    if environment.tracking_uri:
        return environment.tracking_uri
    instead = ", or pass --no-tracking" if can_go_without else ""
    raise TrackingError(f'{TRACKING_URI} is not set; start the platform (mlp up), then run: eval "$(mlp env)"{instead}')


def check_server(environment: PlatformEnvironment, *, can_go_without: bool = False) -> None:
    """Return if the tracking server accepts this login; raise TrackingError that names its URI and response.

    The error is TrackingUnreachable where the login is not the cause. Only http(s) servers are checked: a database URI
    is opened by the first request.
    """
    uri = tracking_uri(environment, can_go_without=can_go_without)
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return
    instead = ", or pass --no-tracking" if can_go_without else ""
    try:
        status, message = _probe(parts, environment)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TrackingUnreachable(
            f"Tracking server {uri} does not answer ({error}); start it with `mlp up`, or {LOGIN_STEP}{instead}"
        ) from error
    user = environment.tracking_username or "no user"
    if status == http.client.UNAUTHORIZED:
        raise TrackingError(
            f"Tracking server {uri} refuses the login of {user} (401); set {TRACKING_USERNAME} and "
            f"{TRACKING_PASSWORD}, or {LOGIN_STEP}{instead}"
        )
    if status != http.client.OK:
        kind = TrackingUnreachable if status >= http.client.INTERNAL_SERVER_ERROR else TrackingError
        raise kind(f"Tracking server {uri} answered {status} to {user}: {message}; check {TRACKING_URI}{instead}")


def connect(environment: PlatformEnvironment, *, can_go_without: bool = False) -> MlflowClient:
    """Return a client of the tracking server, after `check_server`; raise TrackingError."""
    check_server(environment, can_go_without=can_go_without)
    return client_of(environment)


def client_of(environment: PlatformEnvironment) -> MlflowClient:
    """Return a client of a tracking server that may or may not answer."""
    for name, value in CLIENT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    uri = tracking_uri(environment)
    mlflow.set_tracking_uri(uri)
    with requests_to(uri):
        return mlflow.MlflowClient(tracking_uri=uri)


@contextmanager
def requests_to(uri: str) -> Iterator[None]:
    """Raise TrackingError in place of MLflow's own exceptions within the context."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        raise TrackingError(f"Tracking server {uri} could not carry out a request: {first_line(error)}") from error


def _probe(parts: SplitResult, environment: PlatformEnvironment) -> tuple[int, str]:
    """Return status and message of the cheapest request that needs a login."""
    connect_by = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    headers = {}
    if environment.tracking_username:
        login = f"{environment.tracking_username}:{environment.tracking_password or ''}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    connection = connect_by(parts.hostname or "", parts.port, timeout=PROBE_TIMEOUT_S)
    try:
        path = f"{parts.path.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1"
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        text = response.read(10_000).decode(errors="replace")
    finally:
        connection.close()
    try:
        message = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        message = text.strip().partition("\n")[0][:200] or response.reason
    return response.status, message

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from workloads.environment import PlatformEnvironment
from workloads.errors import TrackingError
from workloads.tracking.connection import check_server

Serve = Callable[[int, str], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that gives one answer, `serve(401, "")`, to all but the login ada:lovelace; its address."""
    with ExitStack() as stack:

        def start(status: int, body: str) -> str:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    known = self.headers.get("Authorization") == f"Basic {base64.b64encode(b'ada:lovelace').decode()}"
                    asked = self.path == "/root/api/2.0/mlflow/experiments/search?max_results=1"
                    self.send_response(200 if known and asked else status)
                    self.end_headers()
                    self.wfile.write(body.encode())

                def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
                    """Nothing."""

            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}/root"

        yield start


def test_a_server_that_takes_the_login_is_fine(serve: Serve) -> None:
    uri = serve(401, "")
    check_server(PlatformEnvironment(tracking_uri=uri, tracking_username="ada", tracking_password="lovelace"))


@pytest.mark.parametrize("user", ["ada", None])
def test_a_login_that_is_refused_is_told_with_server_and_user(serve: Serve, user: str | None) -> None:
    uri = serve(401, "")
    with pytest.raises(TrackingError) as raised:
        check_server(PlatformEnvironment(tracking_uri=uri, tracking_username=user, tracking_password="wrong"))
    assert f"Tracking server {uri} refuses the login of {user or 'no user'} (401)" in str(raised.value)
    assert "wrong" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        pytest.param(403, "Invalid Host header", "answered 403 to no user: Invalid Host header", id="plain text"),
        pytest.param(500, '{"message": "no database"}', "answered 500 to no user: no database", id="json"),
        pytest.param(404, "", "answered 404 to no user: Not Found; check MLFLOW_TRACKING_URI", id="not MLflow"),
    ],
)
def test_any_other_answer_is_told_in_the_servers_words(serve: Serve, status: int, body: str, message: str) -> None:
    with pytest.raises(TrackingError) as raised:
        check_server(PlatformEnvironment(tracking_uri=serve(status, body)))
    assert message in str(raised.value)


def test_a_server_that_is_down_is_told_with_the_ways_on() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(TrackingError) as raised:
            check_server(PlatformEnvironment(tracking_uri=uri), can_go_without=True)
    assert f"Tracking server {uri} does not answer" in str(raised.value)
    assert "mlp up" in str(raised.value)
    assert "--no-tracking" in str(raised.value)


def test_no_server_at_all_is_told_with_the_next_step() -> None:
    with pytest.raises(TrackingError) as raised:
        check_server(PlatformEnvironment())
    assert 'MLFLOW_TRACKING_URI is not set; start the platform (mlp up), then run: eval "$(mlp env)"' in str(
        raised.value
    )
    assert "--no-tracking" not in str(raised.value)


def test_a_database_is_not_asked_since_its_first_request_opens_it() -> None:
    check_server(PlatformEnvironment(tracking_uri="postgresql://127.0.0.1:1/none"))

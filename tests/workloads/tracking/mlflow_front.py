"""MLflow's own server on a database of the test's, behind a door that can be shut in several ways."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

UP, DOWN, DEAF = "up", "down", "deaf"
"""`down` answers 500 at once; `deaf` does what it is told and answers 500 all the same."""


@dataclass
class Front:
    """How the server behaves, and what it was told."""

    app: Callable[..., Iterable[bytes]]
    uri: str = ""
    mode: str = UP
    answers: threading.Event = field(default_factory=threading.Event)
    """While it is not set, whoever asks has to wait."""
    asked: threading.Event = field(default_factory=threading.Event)
    """Set by every request."""
    refused: threading.Event = field(default_factory=threading.Event)
    """Set by every answer 500."""
    batches: list[int] = field(default_factory=list)
    """Metrics of each request that was let through."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """WSGI."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        self.asked.set()
        self.answers.wait(60)
        answer: Iterable[bytes] = []
        mode = self.mode
        if mode != DOWN:
            if environ["PATH_INFO"].endswith("/runs/log-batch"):
                self.batches.append(len(json.loads(body).get("metrics", [])))
            answer = self.app(environ, start_response if mode == UP else lambda *_, **__: lambda _: None)
        if mode == UP:
            return answer
        list(answer)
        self.refused.set()
        return Response('{"message": "no database"}', 500)(environ, start_response)

    def shut(self, mode: str) -> None:
        """Answer 500 from now on, and return once that was done."""
        self.mode = mode
        self.refused.clear()
        assert self.refused.wait(60)


@contextmanager
def mlflow_front(database_uri: str, artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """Within it, the server answers at `uri`; MLflow's client asks once and does not wait between attempts."""
    from mlflow.server import app, handlers

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", database_uri)
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", artifacts.as_uri())
    monkeypatch.setattr(handlers, "_tracking_store", None)
    monkeypatch.setattr(handlers, "_model_registry_store", None)
    front = Front(app)
    front.answers.set()
    server = make_server("127.0.0.1", 0, front, threaded=True)
    front.uri = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield front
    finally:
        front.answers.set()
        server.shutdown()
        thread.join()
        server.server_close()

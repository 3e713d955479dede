"""Small services with real processes, and a progress that keeps what it was told."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from mlp.local.processes import GONE, Launch, alive
from mlp.local.service import Service, UnhealthyError, ask

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if os.path.exists(os.environ["SETTING"]) else 200)
        self.end_headers()
        self.wfile.write(b"well")
    def log_message(self, *arguments): pass
print("serving", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
WITH_CHILD = (
    "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n" + SERVER
)
FAILING = "import sys; print('one'); print('the reason'); sys.exit(3)"
LEAVING_A_CHILD = WITH_CHILD.replace(SERVER, FAILING)
DEAF = "import time; print('up but deaf', flush=True); time.sleep(600)"


class Web(Service):
    """A service whose process runs `script` with its port; healthy once that answers over HTTP.

    It answers with a fault while a file exists whose path is the service's setting.
    """

    stop_grace_s = 2.0

    def __init__(
        self,
        name: str,
        *,
        script: str = SERVER,
        needs: tuple[str, ...] = (),
        patience_s: float = 30,
        optional: bool = False,
    ) -> None:
        self.name = name
        self.optional = optional
        self.port_names = (name,)
        self.needs = needs
        self.script = script
        self.start_patience_s = patience_s
        self.setting = "first"
        self.settled = 0
        self.settle_fault: Exception | None = None

    def launch(self, ports: Mapping[str, int]) -> Launch:
        command = [sys.executable, "-c", self.script, str(ports[self.name])]
        return Launch(command=command, folder=Path("/"), environment={"SETTING": self.setting})

    def check(self, ports: Mapping[str, int]) -> None:
        if ask(ports[self.name], "/") != b"well":
            raise UnhealthyError("another program answers")

    def initialize(self, ports: Mapping[str, int]) -> None:
        self.settled += 1
        if self.settle_fault is not None:
            raise self.settle_fault

    def url(self, ports: Mapping[str, int]) -> str:
        return f"http://127.0.0.1:{ports[self.name]}"


class Told:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def begin(self, what: str) -> None:
        self.lines.append(what)

    def end(self, what: str) -> None:
        pass


def wait_until(condition: Callable[[], object], *, seconds: float = 60) -> None:
    """Return when `condition` holds; fail when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def kill(pid: int) -> None:
    """End the process by SIGKILL and wait until it is gone."""
    process = psutil.Process(pid)
    process.kill()
    wait_until(lambda: not alive(process))


def running_with(environment: Mapping[str, str]) -> list[psutil.Process]:
    """All living processes that have these variables."""
    found = []
    for process in psutil.process_iter():
        try:
            values = process.environ()
            if alive(process) and environment.items() <= values.items():
                found.append(process)
        except (psutil.AccessDenied, *GONE):
            continue
    return found

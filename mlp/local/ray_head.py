"""A Ray head with a dashboard; its clients must send a token, since Ray listens on all addresses of the machine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from infra.servers import ray
from infra.servers.places import settings_in
from mlp.local.credentials import Credentials
from mlp.local.home import Home
from mlp.local.processes import Launch
from mlp.local.service import HOST, Service, UnhealthyError, ask, require_package
from mlp.shared.errors import PlatformError

_LONGEST_TEMP = 40  # Ray adds up to 62 characters for its sockets, whose paths end at 107


class RayHead(Service):
    """The head, whose processes all end with the `ray start --block` that this starts."""

    name = "ray"
    port_names = ("ray", "ray-dashboard", "ray-client")

    def __init__(self, home: Home, credentials: Credentials) -> None:
        self._home = home
        self._credentials = credentials

    @property
    def folder(self) -> Path:
        """Return the folder of Ray's sockets and logs: a short path, and this user's own."""
        temp = tempfile.gettempdir()
        base = Path(temp if len(temp) <= _LONGEST_TEMP - 20 else "/tmp")  # noqa: S108  the owner is checked in prepare
        return base / f"mlp-ray-{hashlib.sha256(str(self._home.path).encode()).hexdigest()[:10]}"

    def prepare(self) -> None:
        """Make an empty folder that no other user can have put things into."""
        require_package("ray")
        self.clean_up()
        try:
            self.folder.mkdir(mode=0o700)
        except FileExistsError:
            raise PlatformError(f"it needs the folder {self.folder}, which is another user's; remove it") from None

    def launch(self, ports: Mapping[str, int]) -> Launch:
        """Return how to start the head with all CPUs of this process; ports that are not named may be any free ones."""
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
        command += ["--node-ip-address", HOST, "--port", str(ports["ray"])]
        command += ["--dashboard-host", HOST, "--dashboard-port", str(ports["ray-dashboard"])]
        command += ["--ray-client-server-port", str(ports["ray-client"])]
        command += ["--num-cpus", str(_num_cpus()), "--temp-dir", str(self.folder), "--log-color", "false"]
        command += [f"--{name}={value}" for name, value in settings_in("laptop", ray.START).items()]
        environment = {
            **settings_in("laptop", ray.ENVIRONMENT),
            **client_environment(self._home),
            # Otherwise two fixed ports, the same for every Ray on a machine.
            "AUTOSCALER_METRIC_PORT": "0",
            "DASHBOARD_METRIC_PORT": "0",
        }
        return Launch(command=command, folder=self._home.path, environment=environment)

    def check(self, ports: Mapping[str, int]) -> None:
        """Check that the control service is healthy and has a living node."""
        ask(ports["ray-dashboard"], "/api/gcs_healthz")
        bearer = {"Authorization": f"Bearer {self._credentials.ray_token}"}
        answer = json.loads(ask(ports["ray-dashboard"], "/nodes?view=summary", headers=bearer))
        nodes = answer.get("data", {}).get("summary", [])
        if not any(node.get("raylet", {}).get("state") == "ALIVE" for node in nodes):
            raise UnhealthyError("no node is alive")

    def url(self, ports: Mapping[str, int]) -> str:
        """Return the URL of the dashboard."""
        return f"http://{HOST}:{ports['ray-dashboard']}"

    def clean_up(self) -> None:
        """Remove sockets and logs of sessions that are over."""
        if self.folder.is_dir() and not self.folder.is_symlink() and self.folder.stat().st_uid == os.geteuid():
            shutil.rmtree(self.folder)


def client_environment(home: Home) -> dict[str, str]:
    """Return the variables by which Ray finds the token, in server and clients."""
    return {"RAY_AUTH_MODE": ray.AUTH_MODE, "RAY_AUTH_TOKEN_PATH": str(home.ray_token_file)}


def address(ports: Mapping[str, int]) -> str:
    """Return the address that `ray.init` connects to."""
    return f"{HOST}:{ports['ray']}"


def _num_cpus() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

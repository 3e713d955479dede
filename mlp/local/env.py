"""Environment variables by which a shell, or a workload, finds the platform on this machine."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from mlp.local import ray_head
from mlp.local.credentials import Credentials, load_credentials
from mlp.local.home import Home, read_json
from mlp.local.postgres import database_url
from mlp.local.processes import recorded
from mlp.local.service import HOST
from mlp.local.state import PlatformState, load_state
from mlp.shared.checkout import find_checkout
from mlp.shared.errors import PlatformError
from workloads.environment import PlatformEnvironment

_PACKAGE = "ml-platform"
_DEFAULT_REGION = "us-east-1"
_GIT_TIMEOUT_S = 5
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def environment(home: Home, service_names: list[str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of the running platform, with those of the AWS emulator where that runs.

    Raises PlatformError, with what to run, unless all of `service_names` run.
    """
    state = load_state(home).state
    missing = [name for name in service_names if not _runs(state, name)]
    if missing:
        raise PlatformError(f"the platform at {home.path} does not run ({', '.join(missing)} missing); run `mlp up`")
    credentials = load_credentials(home)
    return {
        **_platform(home, credentials, state).variables(),
        **ray_head.client_environment(home),
        **(_emulator(home, state) if _runs(state, "emulator") else {}),
        "MLP_DATABASE_URL": database_url(credentials, state.ports),
        **_no_proxy(environ),
    }


def exports(variables: Mapping[str, str]) -> str:
    """Return lines for a shell's `eval`."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def _runs(state: PlatformState, name: str) -> bool:
    record = state.services.get(name)
    return record is not None and record.phase == "ready" and recorded(record.pid, record.created) is not None


def _platform(home: Home, credentials: Credentials, state: PlatformState) -> PlatformEnvironment:
    return PlatformEnvironment(
        tracking_uri=f"http://{HOST}:{state.ports['mlflow']}",
        tracking_username=credentials.mlflow_username,
        tracking_password=credentials.mlflow_password,
        ray_address=ray_head.address(state.ports),
        data=str(home.data),
        checkpoints=str(home.checkpoints),
        registry=str(home.registry),
        code_version=code_version() or f"{_PACKAGE}-{version(_PACKAGE)}",
    )


def _emulator(home: Home, state: PlatformState) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://{HOST}:{state.ports['emulator']}",
        "AWS_REGION": _region(home),
        # The emulator takes any; without them a client would look for those of a real account.
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }


def _region(home: Home) -> str:
    try:
        region = read_json(home.outputs_file).get("region")
    except (OSError, ValueError):
        region = None
    return region if isinstance(region, str) and region else _DEFAULT_REGION


def code_version(folder: Path | None = None) -> str | None:
    """Return the commit of the checkout, None where there is none or git does not know it."""
    root = folder or find_checkout()
    if root is None:
        return None
    try:
        command = ["git", "-C", str(root), "rev-parse", "--verify", "--quiet", "HEAD"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def _no_proxy(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the setting that keeps requests to this machine away from a proxy; nothing where no proxy is set."""
    if not any(environ.get(name) for name in _PROXIES):
        return {}
    hosts = [host for host in environ.get("no_proxy", environ.get("NO_PROXY", "")).split(",") if host]
    value = ",".join([*hosts, *(host for host in (HOST, "localhost") if host not in hosts)])
    return {"no_proxy": value, "NO_PROXY": value}

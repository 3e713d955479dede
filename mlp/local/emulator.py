"""The AWS emulator (moto), with the `local` stack applied to it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from mlp.local.home import Home
from mlp.local.processes import Launch
from mlp.local.service import HOST, Service, ask, require_package
from mlp.shared.files import write_private

Apply = Callable[[str], dict[str, Any]]
"""From the emulator's URL to the stack's outputs."""


class Emulator(Service):
    """Keeps all in memory, so the stack is applied after each start; it holds no user data."""

    name = "emulator"
    port_names = ("emulator",)
    optional = True

    def __init__(self, home: Home, apply: Apply, environment: Callable[[], Mapping[str, str]]) -> None:
        self._home = home
        self._apply = apply
        self._environment = environment

    def prepare(self) -> None:
        """Check that moto is there."""
        require_package("moto")

    def launch(self, ports: Mapping[str, int]) -> Launch:
        """Moto's own server, on loopback."""
        return Launch(
            command=[sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(ports["emulator"])],
            folder=self._home.path,
            environment=self._environment(),
        )

    def check(self, ports: Mapping[str, int]) -> None:
        """Moto's page answers."""
        ask(ports["emulator"], "/moto-api/")

    def settle(self, ports: Mapping[str, int]) -> None:
        """Apply the stack and keep what it put out."""
        outputs = self._apply(self.url(ports))
        write_private(self._home.outputs_file, json.dumps(outputs, indent=2, sort_keys=True) + "\n")

    def url(self, ports: Mapping[str, int]) -> str:
        """The endpoint for AWS clients."""
        return f"http://{HOST}:{ports['emulator']}"


def apply_local_stack(endpoint_url: str) -> dict[str, Any]:
    """Apply the platform's `local` stack; its outputs."""
    from mlp.local.apply import apply_platform  # slow to import: it brings pulumi and boto3

    return apply_platform(endpoint_url)


def emulator_environment() -> Mapping[str, str]:
    """The variables that the emulator must be started with."""
    from mlp.engine.clouds.emulated import EMULATOR_ENVIRONMENT  # slow to import: it brings boto3

    return EMULATOR_ENVIRONMENT

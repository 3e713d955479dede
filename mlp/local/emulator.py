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
"""Function from the emulator's URL to the stack's outputs."""


class Emulator(Service):
    """The emulator, which keeps all in memory: the stack is applied after each start, and no user data are lost."""

    name = "emulator"
    port_names = ("emulator",)
    optional = True

    def __init__(self, home: Home, apply: Apply, environment: Callable[[], Mapping[str, str]]) -> None:
        self._home = home
        self._apply = apply
        self._environment = environment

    def prepare(self) -> None:
        """Check that moto is installed."""
        require_package("moto")

    def launch(self, ports: Mapping[str, int]) -> Launch:
        """Return how to start moto's own server, on loopback."""
        return Launch(
            command=[sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(ports["emulator"])],
            folder=self._home.path,
            environment=self._environment(),
        )

    def check(self, ports: Mapping[str, int]) -> None:
        """Check that moto's page answers."""
        ask(ports["emulator"], "/moto-api/")

    def initialize(self, ports: Mapping[str, int]) -> None:
        """Apply the stack and keep its outputs."""
        outputs = self._apply(self.url(ports))
        write_private(self._home.outputs_file, json.dumps(outputs, indent=2, sort_keys=True) + "\n")

    def url(self, ports: Mapping[str, int]) -> str:
        """Return the endpoint for AWS clients."""
        return f"http://{HOST}:{ports['emulator']}"


def apply_local_stack(endpoint_url: str) -> dict[str, Any]:
    """Apply the platform's `local` stack and return its outputs."""
    from mlp.local.apply import apply_platform  # slow to import: it brings pulumi and boto3

    return apply_platform(endpoint_url)


def emulator_environment() -> Mapping[str, str]:
    """Return the variables that the emulator must be started with."""
    from mlp.engine.clouds.emulated import EMULATOR_ENVIRONMENT  # slow to import: it brings boto3

    return EMULATOR_ENVIRONMENT

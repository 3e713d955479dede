"""An AWS emulator, in this process or behind a port: empty for each test, or with a whole stack for each module."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from moto import mock_aws
from moto.server import ThreadedMotoServer

from mlp.engine.clouds.moto import EMULATOR_ENVIRONMENT, EmulatedCloud
from tests.mlp.engine.moto.applied import Applied, applied_stack


@pytest.fixture(scope="module")
def emulator_environment() -> Iterator[None]:
    """The environment in which an emulator must be started that a whole platform is applied to."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in EMULATOR_ENVIRONMENT.items():
            environment.setenv(name, value)
        yield


@pytest.fixture(scope="module", params=["prod", pytest.param("dev", marks=pytest.mark.slow)])
def stack(request: pytest.FixtureRequest) -> str:
    """The stack to apply, one after the other."""
    return str(request.param)


@pytest.fixture(scope="module")
def applied(stack: str, emulator_environment: None) -> Iterator[Applied]:
    """The stack, whole, as its committed file has it.

    Once a module: a process has one emulator, so a stack that stayed there longer would meet those of other modules.
    """
    with applied_stack(stack) as applied:
        yield applied


@pytest.fixture
def cloud() -> Iterator[EmulatedCloud]:
    """The emulated cloud, on an empty emulator in this process."""
    with mock_aws():
        yield EmulatedCloud(None)


@pytest.fixture
def server_url() -> Iterator[str]:
    """The URL of an empty emulator."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()

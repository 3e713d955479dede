"""An AWS emulator, in this process or behind a port, empty for each test."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from moto import mock_aws
from moto.server import ThreadedMotoServer

from mlp.engine.clouds.emulated import EmulatedCloud
from tests.mlp.engine.clouds.applied import emulator_settings


@pytest.fixture
def emulator_environment() -> Iterator[None]:
    """The environment in which an emulator must be started that a whole platform is applied to."""
    with emulator_settings():
        yield


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

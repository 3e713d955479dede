"""Apply the platform's `local` stack to an AWS emulator on this machine."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

from mlp.engine.clouds.emulated import EmulatedCloud
from mlp.engine.deployment import run_program
from mlp.engine.programs import PLATFORM
from mlp.engine.values import revealed
from mlp.shared.errors import PlatformError

STACK = "local"
_RESET_TIMEOUT_S = 10
_RESET_DONE = b'{"status": "ok"}'


def apply_platform(endpoint_url: str) -> dict[str, Any]:
    """Apply the platform's `local` stack to the moto server at `endpoint_url`; return its outputs, secrets included.

    The emulator is emptied first, so that applying again is safe: it holds nothing that a user made. The server must
    have been started with `emulated.EMULATOR_ENVIRONMENT`. Raises PlatformError for an endpoint that is not on this
    machine or does not answer as moto does, and for a resource that the emulator refuses, by its name.
    """
    cloud = EmulatedCloud(endpoint_url)
    _reset(endpoint_url)
    deployment = run_program(PLATFORM, STACK, cloud)
    outputs: dict[str, Any] = revealed(deployment.outputs)
    return outputs


def _reset(endpoint_url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(endpoint_url).netloc, timeout=_RESET_TIMEOUT_S)
    try:
        connection.request("POST", "/moto-api/reset")
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise PlatformError(
            f"no AWS emulator (moto) answers at {endpoint_url}: {error}; start it with `mlp up --with aws`"
        ) from None
    finally:
        connection.close()
    if answer != _RESET_DONE:
        raise PlatformError(
            f"what answers at {endpoint_url} is not the AWS emulator (moto): on reset it said {response.status} "
            f"{answer[:80]!r}; end it, then run `mlp up --with aws` again"
        )

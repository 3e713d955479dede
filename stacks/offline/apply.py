"""Applies the platform's `local` stack to an AWS emulator on this machine."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from stacks.errors import PlatformError
from stacks.offline.emulated import EmulatedCloud
from stacks.offline.engine import run_program
from stacks.offline.programs import PLATFORM
from stacks.offline.values import revealed

STACK = "local"
_RESET_TIMEOUT_S = 10


def apply_platform(endpoint_url: str) -> dict[str, Any]:
    """The outputs of the platform's `local` stack, applied to the moto server at `endpoint_url`; secrets are opened.

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
    # No proxy: the address is this machine's own.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(f"{endpoint_url.rstrip('/')}/moto-api/reset", method="POST")  # noqa: S310  http(s), checked
    try:
        with opener.open(request, timeout=_RESET_TIMEOUT_S) as response:
            answer = json.load(response)
    except (OSError, ValueError) as error:
        raise PlatformError(
            f"no AWS emulator (moto) answers at {endpoint_url}: {error}; start it with `mlp up`"
        ) from None
    if answer != {"status": "ok"}:
        raise PlatformError(f"{endpoint_url} is not the AWS emulator (moto): told to reset, it said {answer!r}")

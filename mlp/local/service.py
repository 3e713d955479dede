"""The interface of a service of the platform."""

from __future__ import annotations

import http.client
import importlib.util
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlp.local.processes import Launch
from mlp.shared.errors import PlatformError

if TYPE_CHECKING:
    import psutil

HOST = "127.0.0.1"
CHECK_TIMEOUT_S = 5.0


class UnhealthyError(Exception):
    """Reason for which a service does not do its work yet, or any more."""


class Service(ABC):
    """One child process with what it needs before and after.

    `ports` of a platform are given by name; a service's own names are in `port_names`, that of its address first.
    """

    name: str
    port_names: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Names of services that must be ready before this one starts and may stop only after it."""
    optional: bool = False
    """Whether it runs only on request; once it runs, it is kept running until the platform is stopped."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 15.0
    start_patience_s: float = 120.0

    @abstractmethod
    def launch(self, ports: Mapping[str, int]) -> Launch:
        """Return how to start the service."""

    @abstractmethod
    def check(self, ports: Mapping[str, int]) -> None:
        """Return when the service does its work; raise `UnhealthyError` with the reason otherwise."""

    @abstractmethod
    def url(self, ports: Mapping[str, int]) -> str:
        """Return the service's URL, for people, without secrets."""

    def prepare(self) -> None:  # noqa: B027  most need nothing
        """Prepare what the service needs before it is started; safe to repeat."""

    def initialize(self, ports: Mapping[str, int]) -> None:  # noqa: B027  most need nothing
        """Prepare what others need of the service once its check has passed; safe to repeat."""

    def clean_up(self) -> None:  # noqa: B027  most need nothing
        """Remove what is of no use after the service was stopped."""

    def unmarked_processes(self) -> list[psutil.Process]:
        """Return living processes that are certainly the service's own though they carry no mark."""
        return []


def ask(
    port: int, path: str, *, method: str = "GET", body: str = "", headers: Mapping[str, str] | None = None
) -> bytes:
    """Return the body of a server's answer; raise `UnhealthyError` unless its status is 200. No proxy is used."""
    connection = http.client.HTTPConnection(HOST, port, timeout=CHECK_TIMEOUT_S)
    try:
        connection.request(method, path, body=body or None, headers=dict(headers or {}))
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise UnhealthyError(f"{path} on port {port} does not answer ({error or type(error).__name__})") from None
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise UnhealthyError(f"{path} on port {port} answers {response.status} {response.reason}")
    return answer


def require_package(name: str) -> None:
    """Raise PlatformError unless a Python package is installed here; nothing is imported."""
    if importlib.util.find_spec(name) is None:
        raise PlatformError(
            f"it needs the package {name}, which is not installed; "
            "run `pip install -c constraints.txt -e '.[infra,workloads]'`"
        )

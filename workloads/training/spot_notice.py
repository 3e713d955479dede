"""The two-minute interruption notice of an EC2 spot machine, polled where no cluster forwards it.

The instance metadata service has it at `spot/instance-action` (404 until then), behind a token of its own
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html recommends polling every 5
seconds).
"""

from __future__ import annotations

import http.client
import logging
import threading
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from workloads.environment import INSTANCE_METADATA, PlatformEnvironment
from workloads.errors import WorkloadError

logger = logging.getLogger(__name__)

POLL_EVERY_S = 5.0
TIMEOUT_S = 2.0
TOKEN_TTL_S = 300


class SpotNotice:
    """Polls the metadata service at `host`:`port` for as long as the context lasts, in a thread of its own."""

    def __init__(self, host: str, port: int, *, every_s: float | None = None) -> None:
        self.is_given = False
        """Whether AWS announced that the machine will be interrupted."""
        self._host, self._port, self._every_s = host, port, POLL_EVERY_S if every_s is None else every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="spot-notice", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(2 * TIMEOUT_S)

    def _watch(self) -> None:
        has_failed = False
        while not self._stopped.wait(self._every_s):
            try:
                self.is_given = self._poll()
            except (OSError, http.client.HTTPException) as error:
                if not has_failed:
                    logger.warning(
                        "%s does not answer at %s:%d (%s): a spot notice would not be seen",
                        INSTANCE_METADATA, self._host, self._port, error,
                    )  # fmt: skip
                has_failed = True
            if self.is_given:
                logger.warning("this spot machine will be interrupted: the run saves its state and stops")
                return

    def _poll(self) -> bool:
        ttl = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_TTL_S)}
        status, token = self._request("PUT", "/latest/api/token", ttl)
        if status != http.HTTPStatus.OK:
            raise ConnectionError(f"no token, status {status}")
        status, _ = self._request(
            "GET", "/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token.decode("ascii")}
        )
        return status == http.HTTPStatus.OK

    def _request(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read(4096)
        finally:
            connection.close()


class NoNotice:
    """A stand-in that never gives notice, where no metadata service is configured."""

    is_given = False


def spot_notice(environment: PlatformEnvironment) -> AbstractContextManager[SpotNotice | NoNotice]:
    """Return the poller of the configured metadata service; raise WorkloadError for an invalid URL."""
    given = environment.instance_metadata
    if given is None:
        return nullcontext(NoNotice())
    try:
        parts = urlsplit(given)
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host = None
    if host is None or parts.scheme != "http":
        raise WorkloadError(f"{INSTANCE_METADATA} is {given!r}; on EC2 it is http://169.254.169.254, elsewhere unset")
    return SpotNotice(host, port)

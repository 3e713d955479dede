"""Logging to stderr: plain lines at a terminal, JSON lines for log collectors in pods."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from math import isfinite
from typing import IO

from workloads.environment import LOG_FORMAT, PlatformEnvironment
from workloads.errors import WorkloadError

FORMATS = ("json", "text")
IN_KUBERNETES = "KUBERNETES_SERVICE_HOST"
"""Variable that the kubelet sets in every container."""
FIELDS = "fields"
"""Key of a log record's structured values, as in `logger.info("step", extra={FIELDS: {"loss": 0.5}})`."""


def is_json(environment: PlatformEnvironment) -> bool:
    """Return whether logs are JSON lines; raise WorkloadError for an unknown format."""
    given = environment.log_format
    if given not in (None, *FORMATS):
        raise WorkloadError(f"{LOG_FORMAT} is {given!r}; it must be {' or '.join(FORMATS)}, or unset")
    return given == "json" or (given is None and IN_KUBERNETES in os.environ and not sys.stderr.isatty())


def configure_logging(*, as_json: bool) -> None:
    """Log to stderr: our own loggers from `INFO` on, others from `WARNING`."""
    handler = _ToStderr()
    handler.setFormatter(JsonFormatter() if as_json else logging.Formatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("workloads").setLevel(logging.INFO)


class JsonFormatter(logging.Formatter):
    """A formatter that writes one JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return time (UTC), level, logger, message and the record's fields as one line of JSON."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        fields = getattr(record, FIELDS, {}).items()
        # JSON has no NaN, which a loss may become.
        values = {
            key: str(value) if isinstance(value, float) and not isfinite(value) else value for key, value in fields
        }
        return json.dumps(line | values, default=str)


class _ToStderr(logging.StreamHandler[IO[str]]):
    """A handler that looks up `sys.stderr` at each record: a progress bar replaces it to print above the bar."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> IO[str]:
        """The current `sys.stderr`."""
        return sys.stderr

    @stream.setter
    def stream(self, value: IO[str]) -> None:
        """Ignore `value`: the stream is always `sys.stderr`."""

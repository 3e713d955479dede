"""What is said on stderr: plain lines for people, JSON lines for whoever collects the logs of pods."""

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
"""Set by the kubelet in every container."""
FIELDS = "fields"
"""`logger.info("step", extra={FIELDS: {"loss": 0.5}})`: a constant message with its values."""


def is_json(environment: PlatformEnvironment) -> bool:
    """Whether logs are JSON lines; raises WorkloadError for a format that there is not."""
    given = environment.log_format
    if given not in (None, *FORMATS):
        raise WorkloadError(f"{LOG_FORMAT} is {given!r}; it must be {' or '.join(FORMATS)}, or unset")
    return given == "json" or (given is None and IN_KUBERNETES in os.environ and not sys.stderr.isatty())


def set_up(*, as_json: bool) -> None:
    """Have our loggers told on stderr from `INFO` on, others from `WARNING`."""
    handler = _ToStderr()
    handler.setFormatter(JsonFormatter() if as_json else logging.Formatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("workloads").setLevel(logging.INFO)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time (UTC), level, logger, message, and the record's fields."""
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
        told = {key: str(value) if isinstance(value, float) and not isfinite(value) else value for key, value in fields}
        return json.dumps(line | told, default=str)


class _ToStderr(logging.StreamHandler[IO[str]]):
    """Writes to what is stderr at that time: a progress bar puts itself in its place, to draw lines above the bar."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> IO[str]:
        """The one of now."""
        return sys.stderr

    @stream.setter
    def stream(self, value: IO[str]) -> None:
        """Nothing: there is no other."""

"""Recording of a run while it trains: appended to a file at once, sent to the tracking server by a thread.

The training thread never waits for the server, and no response of the server ends a run. What could not be sent when
the run ended stays in its file, for the next resume or `python -m workloads tracking send`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from workloads.errors import Preempted, Stopped, TrackingError
from workloads.tracking.connection import requests_to
from workloads.tracking.spool import Batch, Point, Spool
from workloads.tracking.tracker import MlflowTracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

MAX_RETRY_DELAY_S = 120
"""Longest delay between two attempts while the server does not answer, in seconds."""
STOP_WAIT_S = 5
"""Longest wait for the server in a process that was asked to stop, in seconds."""


class BackgroundTracker(MlflowTracker):
    """Appends a run's record to its spool and sends that, in one request every `every_s` while training.

    At the end it sends the rest for up to `wait_s`, then warns how much is left and how to send it, by the name
    `resend_name`. The thread calls `sample` every `every_s` for more metrics, which are recorded at the newest step.
    """

    def __init__(
        self,
        tracker: MlflowTracker,
        spool: Spool,
        *,
        every_s: float,
        wait_s: float,
        resend_name: str,
        sample: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        super().__init__(tracker.client, run_id=tracker.run_id, experiment_id=tracker.experiment_id)
        self.spool, self.every_s, self.wait_s, self.resend_name, self.sample = (
            spool,
            every_s,
            wait_s,
            resend_name,
            sample,
        )
        self.tags, self.started_at = tracker.tags | spool.tags(), tracker.started_at
        self.last = _newest_points(tracker.last, spool.last_points())
        self._step = self.newest.step if self.newest else 0
        self._failures = 0
        self._stop = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)

    def __enter__(self) -> Self:
        if self.spool.num_unsent():  # it may hold the status of an earlier process
            self.spool.add_status("RUNNING", _now_ms())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        is_stopping = isinstance(error, KeyboardInterrupt | Stopped | Preempted)
        wait_s = min(self.wait_s, STOP_WAIT_S) if is_stopping else self.wait_s
        self._deadline = time.monotonic() + wait_s
        self._stop.set()
        self._thread.join(wait_s)
        num_left = self.spool.num_unsent()
        if num_left:
            logger.warning(
                "%d values of run %s are not on the tracking server %s yet; send them by: "
                "python -m workloads tracking send %s",
                num_left, self.spool.run_name, self.uri, self.resend_name,
            )  # fmt: skip

    @property
    def newest(self) -> Point | None:
        """The newest point of any metric."""
        return max(self.last.values(), key=lambda point: (point.step, point.time_ms), default=None)

    def end(self, status: str) -> None:
        """Record how the run ended."""
        self.spool.add_status(status, _now_ms())

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record metrics at an optimizer step; a metric that has this step already is skipped."""
        new, now_ms = self.unrecorded(metrics, step), _now_ms()
        if new:
            self.spool.add_metrics(new, step, now_ms)
            self.last |= {key: Point(key=key, value=value, time_ms=now_ms, step=step) for key, value in new.items()}
        self._step = max(step, self._step)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record tags."""
        self.spool.add_tags(tags)

    def log_text(self, text: str, path: str) -> None:
        """Record `text` as the artifact `path`."""
        self.spool.add_text(text, path)

    def _run(self) -> None:
        next_try = 0.0
        while not self._stop.wait(self.every_s):
            self.log_metrics(self.sample(), self._step)
            if time.monotonic() >= next_try:
                self._send()
                next_try = time.monotonic() + min(self.every_s * (2**self._failures - 1), MAX_RETRY_DELAY_S)
        self._failures = 0
        while self._send() and (left_s := self._deadline - time.monotonic()) > 0:
            if self._failures:
                time.sleep(min(0.5 * 2**self._failures, 5, left_s))

    def _send(self) -> bool:
        """Send the oldest batch; return whether there was one."""
        try:
            batch = self.spool.next_batch()
            if batch.end == self.spool.offset:
                return False
            send_batch(self.client, self.run_id, batch)
        except Exception as error:  # noqa: BLE001  training continues whatever MLflow raises
            if not self._failures:
                logger.warning("%s; the run continues, its record is in %s and is sent later", error, self.spool.path)
            self._failures += 1
            return True
        self.spool.mark_sent(batch)
        if self._failures:
            logger.info("Tracking server %s takes the record again", self.uri)
        self._failures = 0
        return True


def send_batch(client: MlflowClient, run_id: str, batch: Batch) -> None:
    """Send a batch to the server; repeating it changes nothing. Raises TrackingError."""
    from mlflow.entities import Metric, RunTag

    with requests_to(client.tracking_uri):
        metrics = [Metric(point.key, point.value, point.time_ms, point.step) for point in batch.points]
        tags = [RunTag(key, value) for key, value in batch.tags.items()]
        if metrics:
            client.log_batch(run_id, metrics=metrics)
        if tags:
            client.log_batch(run_id, tags=tags)
        for path, text in batch.texts.items():
            client.log_text(run_id, text, path)
        if batch.status:
            status, time_ms = batch.status
            if status == "RUNNING":
                client.update_run(run_id, status=status)
            else:
                client.set_terminated(run_id, status=status, end_time=time_ms)


def send_remaining(client: MlflowClient, spool: Spool) -> int:
    """Send all that the spool still holds, and return the number of values; raise TrackingError."""
    num_left = num_values = spool.num_unsent()
    while num_left:
        batch = spool.next_batch()
        try:
            send_batch(client, spool.run_id, batch)
        except TrackingError as error:
            hint = f"{num_left} of {num_values} values are left; send them by the same command"
            raise TrackingError(f"{error}; {hint}") from error
        spool.mark_sent(batch)
        num_left = spool.num_unsent()
    return num_values


def _newest_points(*records: Mapping[str, Point]) -> dict[str, Point]:
    """Return the point with the highest step for each metric."""
    newest: dict[str, Point] = {}
    for record in records:
        for key, point in record.items():
            if key not in newest or point.step > newest[key].step:
                newest[key] = point
    return newest


def _now_ms() -> int:
    return int(time.time() * 1000)

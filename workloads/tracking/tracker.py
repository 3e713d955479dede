"""Recording of one run on the tracking server, and a stand-in that records nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from workloads.environment import PlatformEnvironment
from workloads.errors import Preempted, Stopped
from workloads.tracking.connection import connect, requests_to, tracking_uri
from workloads.tracking.spool import Point

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT_TAG = "mlflow.parentRunId"


class Tracker(Protocol):
    """Records one run, which ends with the context: FINISHED, FAILED after an error, KILLED by a signal."""

    @property
    def run_id(self) -> str | None:
        """Id of the run on the tracking server."""

    @property
    def experiment_id(self) -> str | None:
        """Id of the experiment that holds the run."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record metrics at an optimizer step."""

    def log_text(self, text: str, path: str) -> None:
        """Record `text` as the artifact `path`."""

    def log_files(self, folder: Path, path: str) -> None:
        """Record the files of `folder` as artifacts under `path`."""


class NoTracking:
    """A tracker that records nothing."""

    run_id: str | None = None
    experiment_id: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Ignore the metrics."""

    def log_text(self, text: str, path: str) -> None:
        """Ignore the text."""

    def log_files(self, folder: Path, path: str) -> None:
        """Ignore the files."""


class MlflowTracker:
    """Records a run on the tracking server. Every method raises TrackingError when a request fails."""

    run_id: str
    experiment_id: str

    def __init__(self, client: MlflowClient, *, run_id: str, experiment_id: str) -> None:
        self.client, self.run_id, self.experiment_id = client, run_id, experiment_id
        self.uri: str = client.tracking_uri
        self.last: dict[str, Point] = {}
        """Newest recorded point of each metric; values at or below its step are recorded already."""
        self.tags: dict[str, str] = {}
        """Tags of the run when this process began."""
        self.started_at = 0.0
        """Unix time at which the run began; 0 for one that this process started."""

    @classmethod
    def start(
        cls,
        environment: PlatformEnvironment,
        *,
        experiment: str,
        run_name: str,
        params: Mapping[str, object],
        tags: Mapping[str, str],
    ) -> MlflowTracker:
        """Start a new run with its parameters on the configured server; raise TrackingError."""
        client = connect(environment, can_go_without=True)
        with requests_to(tracking_uri(environment)):
            experiment_id = _experiment_id(client, experiment)
        return cls.open(client, experiment_id, run_name=run_name, params=params, tags=tags)

    @classmethod
    def open(
        cls,
        client: MlflowClient,
        experiment_id: str,
        *,
        run_name: str,
        params: Mapping[str, object],
        tags: Mapping[str, str],
    ) -> MlflowTracker:
        """Start a new run in an experiment that exists; with the tag `PARENT_TAG`, nested in another."""
        from mlflow.entities import Param

        with requests_to(client.tracking_uri):
            run = client.create_run(experiment_id, run_name=run_name, tags=dict(tags))
            tracker = cls(client, run_id=run.info.run_id, experiment_id=experiment_id)
            client.log_batch(tracker.run_id, params=[Param(key, str(value)) for key, value in params.items()])
        return tracker

    @classmethod
    def resume(cls, environment: PlatformEnvironment, *, run_id: str, experiment_id: str) -> MlflowTracker:
        """Resume a run on the configured server; raise TrackingError."""
        client = connect(environment, can_go_without=True)
        tracker = cls(client, run_id=run_id, experiment_id=experiment_id)
        with requests_to(tracker.uri):
            client.update_run(run_id, status="RUNNING")
            run = client.get_run(run_id)
        tracker.tags, tracker.started_at = dict(run.data.tags), run.info.start_time / 1000
        newest = run.data.to_proto().metrics  # of each key the point with the highest step
        tracker.last = {
            point.key: Point(key=point.key, value=point.value, time_ms=point.timestamp, step=point.step)
            for point in newest
        }
        return tracker

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            return self.end("FINISHED")
        return self.end("KILLED" if isinstance(error, KeyboardInterrupt | Stopped | Preempted) else "FAILED")

    def end(self, status: str) -> None:
        """Record how the run ended."""
        with requests_to(self.uri):
            self.client.set_terminated(self.run_id, status=status)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record metrics at an optimizer step, in one request."""
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        with requests_to(self.uri):
            self.client.log_batch(
                self.run_id,
                metrics=[Metric(key, value, now_ms, step) for key, value in self.unrecorded(metrics, step).items()],
            )

    def unrecorded(self, metrics: Mapping[str, float], step: int) -> dict[str, float]:
        """Return those of `metrics` that are not recorded at `step` yet."""
        return {key: value for key, value in metrics.items() if key not in self.last or step > self.last[key].step}

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record parameters that were not known at the start."""
        from mlflow.entities import Param

        with requests_to(self.uri):
            self.client.log_batch(self.run_id, params=[Param(key, str(value)) for key, value in params.items()])

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record tags, in one request."""
        from mlflow.entities import RunTag

        with requests_to(self.uri):
            self.client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def log_text(self, text: str, path: str) -> None:
        """Record `text` as the artifact `path`."""
        with requests_to(self.uri):
            self.client.log_text(self.run_id, text, path)

    def log_files(self, folder: Path, path: str) -> None:
        """Record the files of `folder` as artifacts under `path`."""
        with requests_to(self.uri):
            self.client.log_artifacts(self.run_id, str(folder), path)


def end_run(environment: PlatformEnvironment, *, experiment: str, run_name: str, status: str) -> None:
    """Set the status of a run whose own process could not; raise TrackingError."""
    client = connect(environment)
    with requests_to(tracking_uri(environment)):
        found = client.get_experiment_by_name(experiment)
        if found is None:
            return
        name_is = f"attributes.run_name = '{run_name}'"
        for run in client.search_runs([found.experiment_id], filter_string=name_is):
            if run.info.status != status:
                client.set_terminated(run.info.run_id, status=status)


def _experiment_id(client: MlflowClient, name: str) -> str:
    """Return the id of the experiment, created if there is none; of two runs that do so at once both get it."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)

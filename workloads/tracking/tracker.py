"""The record of one run: what the rank that keeps it is told, and the twin that keeps nothing."""

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
    """Keeps the record of one run, which ends with the context: FINISHED, FAILED after an error, KILLED by a signal."""

    @property
    def run_id(self) -> str | None:
        """The run's on the tracking server."""

    @property
    def experiment_id(self) -> str | None:
        """Of the experiment that holds it."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record metrics at an optimizer step."""

    def log_text(self, text: str, path: str) -> None:
        """Keep `text` as the artifact `path`."""

    def log_files(self, folder: Path, path: str) -> None:
        """Keep the files of `folder` as artifacts under `path`."""


class NoTracking:
    """Keeps nothing."""

    run_id: str | None = None
    experiment_id: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Nothing."""

    def log_text(self, text: str, path: str) -> None:
        """Nothing."""

    def log_files(self, folder: Path, path: str) -> None:
        """Nothing."""


class MlflowTracker:
    """Keeps a run on the tracking server. Every method raises TrackingError when the server fails it."""

    run_id: str
    experiment_id: str

    def __init__(self, client: MlflowClient, *, run_id: str, experiment_id: str) -> None:
        self.client, self.run_id, self.experiment_id = client, run_id, experiment_id
        self.uri: str = client.tracking_uri
        self.last: dict[str, Point] = {}
        """The newest point of each metric when this process began; what comes at or below its step is there already."""
        self.tags: dict[str, str] = {}
        """The run's, when this process began."""
        self.started_at = 0.0
        """When the run did, Unix time; 0 for one that this process began."""

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
        """A new run with its parameters, on the server that the environment names; raises TrackingError."""
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
        """A new run in an experiment that exists; with the tag `PARENT_TAG`, nested in another."""
        from mlflow.entities import Param

        with requests_to(client.tracking_uri):
            run = client.create_run(experiment_id, run_name=run_name, tags=dict(tags))
            tracker = cls(client, run_id=run.info.run_id, experiment_id=experiment_id)
            client.log_batch(tracker.run_id, params=[Param(key, str(value)) for key, value in params.items()])
        return tracker

    @classmethod
    def resume(cls, environment: PlatformEnvironment, *, run_id: str, experiment_id: str) -> MlflowTracker:
        """A run that goes on, on the server that the environment names; raises TrackingError."""
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
        """Say how the run ended."""
        with requests_to(self.uri):
            self.client.set_terminated(self.run_id, status=status)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record metrics at an optimizer step, in one request."""
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        with requests_to(self.uri):
            self.client.log_batch(
                self.run_id,
                metrics=[Metric(key, value, now_ms, step) for key, value in self.new(metrics, step).items()],
            )

    def new(self, metrics: Mapping[str, float], step: int) -> dict[str, float]:
        """Those of `metrics` that the record does not have at `step` already."""
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
        """Keep `text` as the artifact `path`."""
        with requests_to(self.uri):
            self.client.log_text(self.run_id, text, path)

    def log_files(self, folder: Path, path: str) -> None:
        """Keep the files of `folder` as artifacts under `path`."""
        with requests_to(self.uri):
            self.client.log_artifacts(self.run_id, str(folder), path)


def end_run(environment: PlatformEnvironment, *, experiment: str, run_name: str, status: str) -> None:
    """Give a run that its own process could not end the right status; raises TrackingError."""
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
    """The id of the experiment, made if there is none; two runs that make it at once both get it."""
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

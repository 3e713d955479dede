"""What a run leaves: its record on the tracking server, its checkpoints, and what it shows while it lives."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from workloads.checkpoints.checkpoints import Checkpoints, Manifest
from workloads.checkpoints.run_folder import Identity, claim, finish, identity_of
from workloads.checkpoints.store import Store
from workloads.config import TrainConfig
from workloads.data.datasets import Dataset
from workloads.environment import PlatformEnvironment
from workloads.errors import CheckpointError
from workloads.registry.versions import VALIDATION_ACCURACY
from workloads.tracking import exporter
from workloads.tracking.tracker import MlflowTracker, NoTracking
from workloads.training.ranks import Ranks
from workloads.training.resume import run_store
from workloads.training.trainer import EpochReport, StepReport

if TYPE_CHECKING:
    from workloads.training.run import TrainOptions

logger = logging.getLogger(__name__)

TRAIN_LOSS = "train/loss"
SAVE_WITHIN_S = 20
"""A spot node goes two minutes after its notice, a pod often 30 seconds after its."""


@dataclass(kw_only=True)
class RunRecord:
    """Kept by the first rank; the others have one that keeps nothing. A context: the record ends as the run ended.

    With `MLP_CHECKPOINTS` the run has a folder of its own there, claimed before the first step. Raises CheckpointError
    if another run has it, TrackingError if the server cannot be reached.
    """

    config: TrainConfig
    options: TrainOptions
    environment: PlatformEnvironment
    dataset: Dataset
    ranks: Ranks
    resolved: Mapping[str, object]
    """What the config left open, as it was settled."""

    def __post_init__(self) -> None:
        self.tracker: MlflowTracker | NoTracking = NoTracking()
        self.checkpoints: Checkpoints | None = None
        self.metrics = exporter.RunMetrics(self.options.run_name)
        self.store: Store | None = run_store(self.environment, self.options.run_name)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        goes_on = self.options.resume or self.ranks.restarts > 0
        self.identity = identity_of(self.store) if self.store and goes_on else None
        if self.ranks.is_first:
            with self._open:
                self._begin()
                self._open = self._open.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, traceback)

    def _begin(self) -> None:
        if self.options.tracking:
            tracker = self._start() if self.identity is None else self._resume(self.identity)
            self.tracker = self._open.enter_context(tracker)
        if self.store:
            if self.identity is None:
                claim(
                    self.store,
                    Identity(
                        run_name=self.options.run_name,
                        config=self.config.as_data(),
                        run_id=self.tracker.run_id,
                        experiment_id=self.tracker.experiment_id,
                    ),
                )
            self.checkpoints = self._open.enter_context(
                Checkpoints(self.store, keep_last=self.config.checkpoint.keep_last, on_saved=self.on_saved)
            )
        else:
            logger.info("MLP_CHECKPOINTS is not set: the run keeps no checkpoints and cannot go on if it is ended")
        port = exporter.metrics_port(self.environment)
        self._open.enter_context(exporter.served(self.metrics, port))

    def _start(self) -> MlflowTracker:
        tracker = MlflowTracker.start(
            self.environment,
            experiment=self.config.name,
            run_name=self.options.run_name,
            params=self.config.flattened() | dict(self.resolved),
            tags=version_tags(self.dataset, self.environment),
        )
        tracker.log_text(self.config.as_yaml(), "config.yaml")
        return tracker

    def _resume(self, identity: Identity) -> MlflowTracker:
        if identity.run_id is None or identity.experiment_id is None:
            raise CheckpointError(
                f"Run {identity.run_name} began without a record on a tracking server; go on with it by --no-tracking"
            )
        return MlflowTracker.resume(self.environment, run_id=identity.run_id, experiment_id=identity.experiment_id)

    def newest_state(self) -> Mapping[str, Any] | None:
        """Where the run goes on, the same on every rank; None for a run that is new."""
        return Checkpoints(self.store).newest() if self.store and self.identity else None

    def on_step(self, report: StepReport) -> None:
        """Show where the run is."""
        show_step(self.metrics, report)

    def on_epoch(self, report: EpochReport) -> None:
        """Record what an epoch gave, at its last optimizer step."""
        self.metrics.set({exporter.ACCURACY: report.validation.accuracy})
        metrics = {
            TRAIN_LOSS: report.train_loss,
            VALIDATION_ACCURACY: report.validation.accuracy,
            "val/loss": report.validation.loss,
            "epoch": report.epoch,
            "images_per_second": report.images_per_second,
        }
        self.tracker.log_metrics(metrics, report.step)

    def on_saved(self, manifest: Manifest) -> None:
        """Show when the newest checkpoint was whole."""
        self.metrics.set({exporter.CHECKPOINT_TIME: manifest.time})

    def settle(self) -> None:
        """Wait for the checkpoint that is being written, but not long: whoever asked to end will not wait long."""
        if self.checkpoints:
            try:
                self.checkpoints.wait(SAVE_WITHIN_S)
            except TimeoutError:
                logger.warning("the state could not be written within %d s; an older one is the newest", SAVE_WITHIN_S)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Say that the run reached its end, so that nobody goes on with it."""
        if self.store:
            finish(self.store, result)


def show_step(metrics: exporter.RunMetrics, report: StepReport) -> None:
    """Show where the run is."""
    metrics.set(
        {
            exporter.STEP: report.step,
            exporter.LOSS: report.loss,
            exporter.LEARNING_RATE: report.lr,
            exporter.SAMPLES: report.num_images,
        }
    )


def version_tags(dataset: Dataset, environment: PlatformEnvironment) -> dict[str, str]:
    """By which a run and a model version say what they came from."""
    tags = {"dataset": dataset.name, "data_version": dataset.version}
    if environment.code_version:
        tags["code_version"] = environment.code_version
    if environment.image_digest:
        tags["image_digest"] = environment.image_digest
    return tags

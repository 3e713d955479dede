"""What a run records: metrics on the tracking server, checkpoints, and live metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import torch

from workloads.checkpoints.checkpoints import Checkpoints, Manifest
from workloads.checkpoints.run_folder import Identity, claim, mark_finished, read_identity, run_store
from workloads.checkpoints.store import Store
from workloads.config import TrainConfig
from workloads.data.dataset import Dataset
from workloads.environment import PlatformEnvironment
from workloads.errors import CheckpointError, TrackingUnreachable
from workloads.models.build import ModelSpec
from workloads.price import SECONDS_PER_HOUR, price_per_hour
from workloads.ranks import Ranks
from workloads.registry.versions import VALIDATION_ACCURACY
from workloads.tracking import exporter
from workloads.tracking.background import BackgroundTracker
from workloads.tracking.code_version import code_version
from workloads.tracking.connection import client_of
from workloads.tracking.spool import Point
from workloads.tracking.system import system_metrics
from workloads.tracking.tracker import MlflowTracker, NoTracking
from workloads.tracking.unsent import keep_unsent, open_spool
from workloads.training.devices import resolve_device
from workloads.training.flops import measure_training, peak_flop_per_s
from workloads.training.reports import EpochReport, StepReport

if TYPE_CHECKING:
    from workloads.training.options import TrainOptions

logger = logging.getLogger(__name__)

TRAIN_LOSS = "train/loss"
STEP_LOSS, LEARNING_RATE = "train/step_loss", "lr"
NUM_PARAMETERS = "num_parameters"
MFU = "mfu"
"""Model FLOPs utilization: achieved FLOP/s divided by the GPUs' peak in 16-bit products."""
SECONDS, PRICE_PAID = "seconds", "price_usd"
WASTED_SECONDS, WASTED_PRICE = "wasted_seconds", "wasted_usd"
"""Time and price of repeated steps: those between the newest checkpoint and the end of a process."""
RESUMED_AT = "resumed_at"
"""Tag: Unix time at which the newest process of a resumed run began."""
SAVE_WITHIN_S = 20
"""Longest wait for a checkpoint when stopping: a spot node has two minutes after its notice, a pod often 30 seconds."""


@dataclass(kw_only=True)
class RunRecord:
    """The record of a run, kept by the first rank; the others have one that records nothing.

    A context: the record ends as the run ended. With `MLP_CHECKPOINTS` the run has a folder of its own there, claimed
    before the first step. Raises CheckpointError if another run has it, TrackingError if the server cannot be reached.
    """

    config: TrainConfig
    options: TrainOptions
    environment: PlatformEnvironment
    dataset: Dataset
    ranks: Ranks
    resolved: Mapping[str, object]
    """Values of settings that the config left open, such as the device."""

    def __post_init__(self) -> None:
        self.tracker: BackgroundTracker | NoTracking = NoTracking()
        self.seconds = self.wasted_seconds = 0.0
        self.checkpoints: Checkpoints | None = None
        self.flops_per_image = 0
        self.peak_flop_per_s: float | None = None
        self.metrics = exporter.RunMetrics(self.options.run_name)
        self.store: Store | None = run_store(self.environment, self.options.run_name)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        goes_on = self.options.resume or self.ranks.restarts > 0
        self.identity = read_identity(self.store) if self.store and goes_on else None
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
        with ExitStack() as stack:
            tracker = None
            if self.options.tracking:
                tracker = self._start() if self.identity is None else self._resume(self.identity)
                stack.enter_context(tracker)
            if self.store and self.identity is None:
                self._claim(self.store, tracker)
            if tracker:
                self._count_flops()
                self._track(tracker)
            stack.pop_all()
        if self.store:
            self.checkpoints = self._open.enter_context(
                Checkpoints(
                    self.store,
                    keep_last=self.config.checkpoint.keep_last,
                    before_save=self.before_save,
                    on_saved=self.on_saved,
                )
            )
        else:
            logger.info(
                "MLP_CHECKPOINTS is not set: the run keeps no checkpoints and cannot be resumed if it is stopped"
            )
        port = exporter.metrics_port(self.environment)
        self._open.enter_context(exporter.served(self.metrics, port))

    def _claim(self, store: Store, tracker: MlflowTracker | None) -> None:
        identity = Identity(
            run_name=self.options.run_name,
            config=self.config.as_data(),
            run_id=tracker.run_id if tracker else None,
            experiment_id=tracker.experiment_id if tracker else None,
            register=self.options.register,
            test=self.options.test,
            ranks=self.ranks.world_size,
            on_ray=self.options.on_ray,
        )
        claim(store, identity)

    def _track(self, tracker: MlflowTracker) -> None:
        """From here on keep the record in the run's spool, for a thread to send."""
        name, settings = self.options.run_name, self.config.tracking
        spool = self._open.enter_context(open_spool(self.store, run_id=tracker.run_id, run_name=name))
        self.tracker = BackgroundTracker(
            tracker,
            spool,
            every_s=settings.every_s,
            wait_s=settings.wait_s,
            resend_name=name if self.store else str(spool.path),
            sample=system_metrics(resolve_device(self.config.device, self.ranks)),
        )
        self._open.enter_context(self.tracker)

    def _count_flops(self) -> None:
        one = self.dataset.train.take(torch.arange(1))
        spec = ModelSpec.of(self.config.model, one, len(self.dataset.class_names))
        _, self.flops_per_image, _ = measure_training(spec, one.images.shape[1:], 1)
        peak = peak_flop_per_s(resolve_device(self.config.device, self.ranks), str(self.resolved["precision"]))
        self.peak_flop_per_s = None if peak is None else peak * self.ranks.world_size

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
                f"Run {identity.run_name} began without a record on a tracking server; resume it with --no-tracking"
            )
        ids = {"run_id": identity.run_id, "experiment_id": identity.experiment_id}
        try:
            return MlflowTracker.resume(self.environment, **ids)
        except TrackingUnreachable as error:
            if not self.ranks.restarts:  # the user who started this can fix it
                raise
            logger.warning("%s; the run continues, its record is sent later", error)
            return MlflowTracker(client_of(self.environment), **ids)

    def newest_state(self) -> Mapping[str, Any] | None:
        """Return the state from which the run resumes, the same on every rank; None for a new run."""
        state = Checkpoints(self.store).newest() if self.store and self.identity else None
        if state is not None:
            self.seconds = sum(report["seconds"] for report in state["reports"])
        if isinstance(self.tracker, BackgroundTracker) and self.identity:
            self._add_wasted(self.tracker, state or {"step": 0, "time": 0.0})
        return state

    def _add_wasted(self, tracker: BackgroundTracker, state: Mapping[str, Any]) -> None:
        """Count the time that the previous process worked after `state` was saved, up to its last recorded step."""
        began_at = float(tracker.tags.get(RESUMED_AT, tracker.started_at))
        repeated = repeated_s(tracker.newest, step=state["step"], saved_at=state["time"], began_at=began_at)
        self.wasted_seconds = float(tracker.tags.get(WASTED_SECONDS, 0)) + repeated
        tracker.set_tags({WASTED_SECONDS: f"{self.wasted_seconds:.3f}", RESUMED_AT: f"{time.time():.3f}"})

    def on_step(self, report: StepReport) -> None:
        """Export and record the current step."""
        export_step(self.metrics, report)
        self.tracker.log_metrics({STEP_LOSS: report.loss, LEARNING_RATE: report.lr}, report.step)

    def on_epoch(self, report: EpochReport) -> None:
        """Record an epoch's results, at its last optimizer step, and the cost of the run so far."""
        self.metrics.set({exporter.ACCURACY: report.validation.accuracy})
        self.seconds += report.seconds
        metrics = {
            TRAIN_LOSS: report.train_loss,
            VALIDATION_ACCURACY: report.validation.accuracy,
            "val/loss": report.validation.loss,
            "epoch": report.epoch,
            "images_per_second": report.images_per_second,
            "tflop_per_second": report.images_per_second * self.flops_per_image / 1e12,
            SECONDS: self.seconds,
            WASTED_SECONDS: self.wasted_seconds,
        }
        if self.peak_flop_per_s:
            metrics[MFU] = report.images_per_second * self.flops_per_image / self.peak_flop_per_s
        price = price_per_hour(self.environment)
        if price is not None:
            metrics[PRICE_PAID] = self.seconds * price / SECONDS_PER_HOUR
            metrics[WASTED_PRICE] = self.wasted_seconds * price / SECONDS_PER_HOUR
        self.tracker.log_metrics(metrics, report.step)

    def before_save(self) -> None:
        """Keep with the checkpoint what the server lacks of the record up to it: a resume does not record it again."""
        if self.store and isinstance(self.tracker, BackgroundTracker):
            keep_unsent(self.store, self.tracker.spool)

    def on_saved(self, manifest: Manifest) -> None:
        """Export the time at which the newest checkpoint was complete."""
        self.metrics.set({exporter.CHECKPOINT_TIME: manifest.time})

    def wait_for_checkpoint(self) -> None:
        """Wait up to `SAVE_WITHIN_S` for the checkpoint that is being written."""
        if self.checkpoints:
            try:
                self.checkpoints.wait(SAVE_WITHIN_S)
            except TimeoutError:
                logger.warning("the state could not be written within %d s; an older one is the newest", SAVE_WITHIN_S)

    def mark_finished(self, result: Mapping[str, Any]) -> None:
        """Mark the run as finished, so that it is not resumed."""
        if self.store:
            mark_finished(self.store, result)


def export_step(metrics: exporter.RunMetrics, report: StepReport) -> None:
    """Export the current step."""
    metrics.set(
        {
            exporter.STEP: report.step,
            exporter.LOSS: report.loss,
            exporter.LEARNING_RATE: report.lr,
            exporter.SAMPLES: report.num_images,
        }
    )


def repeated_s(newest: Point | None, *, step: int, saved_at: float, began_at: float) -> float:
    """Estimate for how many seconds a process that began at `began_at` worked after the state of `step` was saved.

    That is up to its newest recorded point; a point of an earlier process says nothing about this one.
    """
    since = max(saved_at, began_at)  # 0 where neither is known: a run without checkpoints whose server does not answer
    if newest is None or newest.step <= step or not since:
        return 0.0
    return max(0.0, newest.time_ms / 1000 - since)


def version_tags(dataset: Dataset, environment: PlatformEnvironment) -> dict[str, str]:
    """Return the tags by which a run and a model version record their origin."""
    tags = {
        "dataset": dataset.name,
        "data_version": dataset.version,
        "code_version": code_version() or environment.code_version,
        "image_digest": environment.image_digest,
    }
    return {key: value for key, value in tags.items() if value}

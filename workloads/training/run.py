"""A whole run on one rank: data, model, training, test, record, registration."""

from __future__ import annotations

import logging
import secrets
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import torch
from torch import nn

from workloads.config import TrainConfig
from workloads.data.dataset import Dataset
from workloads.data.datasets import check, load
from workloads.data.splits import training_splits
from workloads.environment import PlatformEnvironment
from workloads.errors import Preempted, Stopped, TrackingError, WorkloadError
from workloads.evaluation.counts import Evaluation, count
from workloads.evaluation.report import Report
from workloads.models.build import ModelSpec
from workloads.models.classifier import num_parameters
from workloads.price import price_per_hour
from workloads.ranks import Ranks, detect_lost_ranks, process_group
from workloads.registry.evaluate import record_test
from workloads.registry.model_format import register
from workloads.registry.moves import this_user
from workloads.registry.promotion import promote
from workloads.registry.rules import DEFAULT
from workloads.registry.versions import STAGING
from workloads.stop_request import StopRequest
from workloads.tracking import exporter
from workloads.tracking.connection import check_server, requests_to
from workloads.tracking.tracker import MlflowTracker
from workloads.training.devices import resolve_device, resolve_precision, set_threads
from workloads.training.options import TrainOptions
from workloads.training.record import NUM_PARAMETERS, RunRecord, version_tags
from workloads.training.reports import EpochReport, Saver, StepReport
from workloads.training.resume import check_new
from workloads.training.spot_notice import NoNotice, spot_notice
from workloads.training.trainer import Trainer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """The result of a run; a field is None where it was not requested."""

    run_name: str
    run_id: str | None
    experiment_id: str | None
    dataset: str
    num_train: int
    val_accuracy: float
    test_accuracy: float | None
    seconds: float
    """Time of all epochs with their evaluation, in seconds."""
    images_per_second: float
    """Training throughput over all ranks."""
    ranks: int
    """Number of ranks."""
    model_name: str | None
    model_version: int | None
    alias: str | None


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A model after its last step."""

    module: nn.Module
    spec: ModelSpec
    num_train: int
    reports: list[EpochReport]
    result: EpochReport
    """Report of the epoch whose weights `module` has: the last, or the best if the run might have ended early."""

    @property
    def validation(self) -> Evaluation:
        """Results of `module` on the validation split."""
        return self.result.validation


def new_run_name(config: TrainConfig) -> str:
    """Return `<config>-<utc>-<4 hex>`, a new name that the launcher passes on."""
    return f"{config.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def check_ranks(config: TrainConfig, num_ranks: int) -> None:
    """Raise WorkloadError unless every rank can have an image of a full batch."""
    if not 1 <= num_ranks <= config.global_batch_size:
        raise WorkloadError(
            f"ranks is {num_ranks}; it must be at least 1 and at most global_batch_size, {config.global_batch_size}"
        )


def preflight(config: TrainConfig, options: TrainOptions, environment: PlatformEnvironment, *, num_ranks: int) -> None:
    """Raise WorkloadError, within seconds and before any process is started, where the run would fail."""
    check_ranks(config, num_ranks)
    check(config.data.name, environment)
    exporter.metrics_port(environment)
    price_per_hour(environment)
    spot_notice(environment)
    if not options.resume:
        check_new(environment, options.run_name)
    if options.tracking:
        check_server(environment, can_go_without=True)


def run(
    config: TrainConfig,
    options: TrainOptions,
    environment: PlatformEnvironment,
    ranks: Ranks,
    on_epoch: Callable[[EpochReport], None] = lambda _: None,
    on_step: Callable[[StepReport], None] = lambda _: None,
    is_stop_requested: Callable[[], bool] = lambda: False,
) -> TrainResult | None:
    """Train, test, record and register as the options say; return the result on rank 0, None on the others.

    `on_epoch` is called with every epoch's report and `on_step` with some steps', on every rank. A run that is asked to
    stop, by a signal or on any rank by `is_stop_requested`, does so after a step, with its state saved, and raises
    Preempted. Raises WorkloadError.
    """
    check_ranks(config, ranks.world_size)
    dataset = load(config.data.name, environment, image_size=config.data.image_size)
    device = resolve_device(config.device, ranks)
    resolved = {
        "device": device.type,
        "precision": resolve_precision(config.compute.precision, device),
        "num_threads": set_threads(config.num_threads, ranks),
        "ranks": ranks.world_size,
    }
    notice = spot_notice(environment) if ranks.local_rank == 0 else nullcontext(NoNotice())
    with RunRecord(
        config=config, options=options, environment=environment, dataset=dataset, ranks=ranks, resolved=resolved
    ) as record:

        def record_epoch(report: EpochReport) -> None:
            if ranks.is_first:
                record.on_epoch(report)
            on_epoch(report)

        def record_step(report: StepReport) -> None:
            if ranks.is_first:
                record.on_step(report)
            on_step(report)

        with detect_lost_ranks(ranks), process_group(ranks, device, config.timeout_s):
            with notice as spot, _graceful_stop(record, patient=ranks.started_by_torchrun) as stop:
                trained = train_model(
                    config,
                    dataset,
                    ranks,
                    device,
                    record_epoch,
                    record_step,
                    saver=record.checkpoints,
                    stop=lambda: stop.is_requested or spot.is_given or is_stop_requested(),
                    state=record.newest_state(),
                )
            num_classes = len(dataset.class_names)
            test = None
            if options.test:
                counts = count(trained.module, dataset.test, num_classes=num_classes, device=device, ranks=ranks)
                test = Report.of(counts, dataset.class_names)
        if not ranks.is_first:
            return None
        tracker, version = record.tracker, None
        tracker.log_metrics({NUM_PARAMETERS: num_parameters(trained.module)}, trained.reports[-1].step)
        if test:
            record_test(tracker, test, trained.reports[-1].step)
        if options.register and isinstance(tracker, MlflowTracker):
            with _with_retry_hint(record):
                version = _register(tracker, config, trained, dataset, environment)
        result = TrainResult(
            run_name=options.run_name,
            run_id=tracker.run_id,
            experiment_id=tracker.experiment_id,
            dataset=dataset.name,
            num_train=trained.num_train,
            val_accuracy=trained.validation.accuracy,
            test_accuracy=test.accuracy if test else None,
            seconds=sum(report.seconds for report in trained.reports),
            images_per_second=sum(report.num_images for report in trained.reports)
            / sum(report.train_seconds for report in trained.reports),
            ranks=ranks.world_size,
            model_name=config.model_name if version else None,
            model_version=version,
            alias=None,
        )
        record.mark_finished(asdict(result))
    # Afterwards, so that the server knows all of the run that the gate asks about.
    if result.model_version and test and result.val_accuracy >= config.registry.staging_minimum:
        return replace(result, alias=_ask_for_staging(environment, result))
    return result


def train_model(
    config: TrainConfig,
    dataset: Dataset,
    ranks: Ranks,
    device: torch.device,
    on_epoch: Callable[[EpochReport], None],
    on_step: Callable[[StepReport], None] | None = None,
    *,
    saver: Saver | None = None,
    stop: Callable[[], bool] = lambda: False,
    state: Mapping[str, Any] | None = None,
) -> TrainedModel:
    """Train the config's model, the same on every rank, from the beginning or from `state`.

    Raises DataError, TrainingDiverged, CheckpointError, or Preempted if any rank is asked to stop.
    """
    train, validation = training_splits(
        dataset.train,
        validation_fraction=config.data.validation_fraction,
        num_train=config.data.num_train,
        seed=config.seed,
    )
    num_classes = len(dataset.class_names)
    spec = ModelSpec.of(config.model, train, num_classes)
    trainer = Trainer(
        config,
        model=spec.build(config.seed),
        train=train,
        validation=validation,
        num_classes=num_classes,
        device=device,
        ranks=ranks,
        on_epoch=on_epoch,
        on_step=on_step,
        saver=saver,
        stop=stop,
    )
    if state is not None:
        trainer.restore(state)
    reports = trainer.fit()
    return TrainedModel(
        module=trainer.evaluated_module, spec=spec, num_train=len(train), reports=reports, result=trainer.result
    )


@contextmanager
def _graceful_stop(record: RunRecord, *, patient: bool) -> Iterator[StopRequest]:
    """Record signals within the context, for training to stop after a step with its state saved."""
    with StopRequest(patient=patient) as stop:
        try:
            yield stop
        except Preempted as preempted:
            if record.store is None:
                stop.raise_if_requested()
                raise Stopped(signal.SIGTERM) from None  # another rank was asked to stop
            record.wait_for_checkpoint()
            name = record.options.run_name
            raise Preempted(f"{preempted}; resume it with: python -m workloads train --resume {name}") from None


@contextmanager
def _with_retry_hint(record: RunRecord) -> Iterator[None]:
    """Add to a TrackingError within the context how to repeat what follows the training."""
    try:
        yield
    except TrackingError as error:
        if record.store is None:
            raise
        name = record.options.run_name
        raise TrackingError(
            f"Run {name} is trained and its state is saved, but its model could not be registered: {error}; try again "
            f"with: python -m workloads train --resume {name}"
        ) from error


def _register(
    tracker: MlflowTracker,
    config: TrainConfig,
    trained: TrainedModel,
    dataset: Dataset,
    environment: PlatformEnvironment,
) -> int:
    """Register the model and return the new version."""
    model_name = config.model_name
    version = register(tracker, trained.module, trained.spec, dataset, model_name)
    tags = version_tags(dataset, environment) | {"val_accuracy": f"{trained.validation.accuracy:.4f}"}
    with requests_to(tracker.uri):
        for key, value in tags.items():
            tracker.client.set_model_version_tag(model_name, version, key, value)
    return int(version)


def _ask_for_staging(environment: PlatformEnvironment, result: TrainResult) -> str | None:
    """Have the gate decide whether the new version is `staging`, and its move recorded; return the alias if it has it.

    Where moves cannot be recorded, nobody is asked: jobs in a cluster do not move aliases. The run is done either way.
    """
    name, number = str(result.model_name), int(result.model_version or 0)
    asked_by = f"python -m workloads registry promote {name} {number} --to {STAGING}"
    if environment.registry is None:
        logger.info("%s version %d waits for an alias; ask for one with: %s", name, number, asked_by)
        return None
    why = f"trained as {result.run_name}, validation accuracy {result.val_accuracy:.4f}"
    try:
        done = promote(environment, name, number, to=STAGING, rules_file=DEFAULT, by=this_user(), why=why)
    except WorkloadError as error:
        logger.warning(
            "%s version %d is registered and has no alias: %s; try again with: %s", name, number, error, asked_by
        )
        return None
    if done.verdict is not None and not done.verdict.passes:
        logger.warning("%s", done.verdict)
        return None
    return STAGING

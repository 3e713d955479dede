"""A registered version judged once on the test images of its data set."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from workloads.environment import PlatformEnvironment
from workloads.evaluation.report import Mistake, Report, worst_mistakes
from workloads.evaluation.speed import BATCHES, Latency, Size, latency, machine, size
from workloads.registry.model_form import load_program
from workloads.registry.versions import TEST_ACCURACY, VALIDATION_ACCURACY, Version, find_version
from workloads.tracking.connection import connect, requests_to
from workloads.tracking.tracker import MlflowTracker, Tracker
from workloads.training.evaluation import count

FOLDER = "evaluation"
EVALUATION_FILE = f"{FOLDER}/test.json"
TEST_LOSS, TEST_F1, CALIBRATION_ERROR = "test/loss", "test/macro_f1", "test/calibration_error"
NUM_MISTAKES = 16


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A version, and all that was found out about it."""

    version: Version
    report: Report
    mistakes: list[Mistake]
    """The most confident ones."""
    latencies: list[Latency]
    size: Size
    machine: str
    """Where the latencies were measured."""

    def more(self) -> dict[str, object]:
        """What is said beside the report, as plain values."""
        data = asdict(self)
        return {key: data[key] for key in ("mistakes", "latencies", "size", "machine")}


def evaluate_version(
    environment: PlatformEnvironment, model_name: str, *, version: int | None, alias: str | None
) -> Judged:
    """The version's results on the test split, which are then kept with its run and in its tags.

    Raises RegistryError, DataError or TrackingError.
    """
    client = connect(environment)
    found = find_version(client, model_name, version=version, alias=alias)
    dataset = found.load_dataset(environment)
    program = load_program(found.uri, client.tracking_uri)
    logits: list[Tensor] = []

    def classify(images: Tensor) -> Tensor:
        logits.append(program(images))
        return logits[-1]

    counts = count(classify, dataset.test, num_classes=len(dataset.class_names))
    judged = Judged(
        version=found,
        report=Report.of(counts, dataset.class_names),
        mistakes=worst_mistakes(torch.cat(logits), dataset.test.labels, dataset.class_names, NUM_MISTAKES),
        latencies=[latency(program, dataset.test.images[: max(BATCHES)], batch_size) for batch_size in BATCHES],
        size=size(program),
        machine=machine(),
    )
    _keep(judged, MlflowTracker(client, run_id=found.run_id, experiment_id=""), dataset.test.images)
    return judged


def _keep(judged: Judged, tracker: MlflowTracker, images: Tensor) -> None:
    from workloads.evaluation.figures import draw

    version, client = judged.version, tracker.client
    with requests_to(tracker.uri):
        step = max((m.step for m in client.get_metric_history(version.run_id, VALIDATION_ACCURACY)), default=0)
        accuracy = f"{judged.report.accuracy:.4f}"
        client.set_model_version_tag(version.model_name, str(version.number), "test_accuracy", accuracy)
    record_test(tracker, judged.report, step, known=version.test_accuracy, more=judged.more())
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), judged.report, judged.mistakes, images)
        tracker.log_files(Path(folder), FOLDER)


def record_test(
    tracker: Tracker,
    report: Report,
    step: int,
    *,
    known: float | None = None,
    more: dict[str, object] | None = None,
) -> None:
    """Keep the test results with a run, and what `more` says.

    The metrics are left alone where the accuracy is `known` to have this value already.
    """
    if known != report.accuracy:
        metrics = {
            TEST_ACCURACY: report.accuracy,
            TEST_LOSS: report.loss,
            TEST_F1: report.macro_f1,
            CALIBRATION_ERROR: report.calibration_error,
        }
        tracker.log_metrics(metrics, step)
    tracker.log_text(json.dumps(report.as_data() | (more or {}), indent=2), EVALUATION_FILE)

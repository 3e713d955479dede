"""Evaluation of a registered version on the test images of its data set.

Shapes: n test images, k classes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from workloads.data.dataset import Dataset, Split
from workloads.environment import PlatformEnvironment
from workloads.evaluation.counts import BATCH_SIZE, Counts
from workloads.evaluation.report import Mistake, Report, worst_mistakes
from workloads.evaluation.speed import BATCHES, Latency, Size, latency, machine, size
from workloads.registry.model_format import load_program
from workloads.registry.versions import TEST_ACCURACY, VALIDATION_ACCURACY, Version, find_version
from workloads.tracking.connection import connect, requests_to
from workloads.tracking.tracker import MlflowTracker, Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER = "evaluation"
EVALUATION_FILE = f"{FOLDER}/test.json"
TEST_LOSS, TEST_F1, CALIBRATION_ERROR = "test/loss", "test/macro_f1", "test/calibration_error"
NUM_MISTAKES = 16


@dataclass(frozen=True, kw_only=True)
class VersionEvaluation:
    """The results of a version on its test images."""

    version: Version
    report: Report
    mistakes: list[Mistake]
    """The most confident wrong predictions."""
    latencies: list[Latency]
    size: Size
    machine: str
    """Description of the machine on which the latencies were measured."""
    correct_n: Tensor
    """bool [N]: whether the prediction for each test image is correct."""

    def details(self) -> dict[str, object]:
        """Return the results beside the report, as plain values."""
        return {
            "mistakes": [asdict(one) for one in self.mistakes],
            "latencies": [asdict(one) for one in self.latencies],
            "size": asdict(self.size),
            "machine": self.machine,
        }


def evaluate_version(
    environment: PlatformEnvironment, model_name: str, *, version: int | None, alias: str | None
) -> VersionEvaluation:
    """Evaluate the version on its test split, and record the results with its run and in its tags.

    Raises RegistryError, DataError or TrackingError.
    """
    client = connect(environment)
    found = find_version(client, model_name, version=version, alias=alias)
    dataset = found.load_dataset(environment)
    program = load_program(found.uri, client.tracking_uri)
    [logits_nk] = logits_of([program], dataset.test)
    evaluation = evaluation_of(found, program, dataset, logits_nk)
    record_evaluation(client, evaluation, dataset)
    return evaluation


@torch.no_grad()
def logits_of(programs: Sequence[nn.Module], split: Split) -> list[Tensor]:
    """Return each program's logits for the images of a split, float32 [N, classes]; images in files are read once."""
    batches: list[list[Tensor]] = [[] for _ in programs]
    for first in range(0, len(split), BATCH_SIZE):
        images = split.images[first : first + BATCH_SIZE]
        for program, logits in zip(programs, batches, strict=True):
            logits.append(program(images).float())
    return [torch.cat(logits) for logits in batches]


def evaluation_of(version: Version, program: nn.Module, dataset: Dataset, logits_nk: Tensor) -> VersionEvaluation:
    """Compute all results of a version from its logits, float32 [N, K], for the test images."""
    test = dataset.test
    return VersionEvaluation(
        version=version,
        report=Report.of(Counts.of(logits_nk, test.labels), dataset.class_names),
        mistakes=worst_mistakes(logits_nk, test.labels, dataset.class_names, NUM_MISTAKES),
        latencies=[latency(program, test.images[: max(BATCHES)], batch_size) for batch_size in BATCHES],
        size=size(program),
        machine=machine(),
        correct_n=is_correct(logits_nk, test),
    )


def is_correct(logits_nk: Tensor, split: Split) -> Tensor:
    """Return whether the most probable class is the true one, as bool [N]."""
    return logits_nk.argmax(1) == split.labels


def record_evaluation(client: MlflowClient, evaluation: VersionEvaluation, dataset: Dataset) -> None:
    """Record the results with the version's run, and the accuracy in the version's tags; raise TrackingError."""
    from workloads.evaluation.figures import draw

    version = evaluation.version
    tracker = MlflowTracker(client, run_id=version.run_id, experiment_id="")
    with requests_to(tracker.uri):
        step = max((m.step for m in client.get_metric_history(version.run_id, VALIDATION_ACCURACY)), default=0)
        accuracy = f"{evaluation.report.accuracy:.4f}"
        client.set_model_version_tag(version.model_name, str(version.number), "test_accuracy", accuracy)
    record_test(tracker, evaluation.report, step, known=version.test_accuracy, more=evaluation.details())
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), evaluation.report, evaluation.mistakes, dataset.test.images)
        tracker.log_files(Path(folder), FOLDER)


def record_test(
    tracker: Tracker,
    report: Report,
    step: int,
    *,
    known: float | None = None,
    more: dict[str, object] | None = None,
) -> None:
    """Record the test results, and the values in `more`, with a run.

    Metrics are omitted where the accuracy is `known` to have this value already.
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

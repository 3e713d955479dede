"""A registered version judged once on the test images of its data set."""

from __future__ import annotations

import json

from workloads.environment import PlatformEnvironment
from workloads.registry.model_form import load_program
from workloads.registry.versions import TEST_ACCURACY, VALIDATION_ACCURACY, Version, find_version
from workloads.tracking.connection import connect, requests_to
from workloads.tracking.tracker import MlflowTracker
from workloads.training.evaluation import Evaluation, evaluate

EVALUATION_FILE = "evaluation/test.json"
TEST_LOSS = "test/loss"


def evaluate_version(
    environment: PlatformEnvironment, model_name: str, *, version: int | None, alias: str | None
) -> tuple[Version, Evaluation]:
    """The version and its results on the test split, which are then kept with its run and in its tags.

    Raises RegistryError, DataError or TrackingError.
    """
    client = connect(environment)
    found = find_version(client, model_name, version=version, alias=alias)
    dataset = found.load_dataset(environment)
    program = load_program(found.uri, client.tracking_uri)
    result = evaluate(program, dataset.test, num_classes=len(dataset.class_names))
    tracker = MlflowTracker(client, run_id=found.run_id, experiment_id="")
    with requests_to(client.tracking_uri):
        step = max((m.step for m in client.get_metric_history(found.run_id, VALIDATION_ACCURACY)), default=0)
        client.set_model_version_tag(model_name, str(found.number), "test_accuracy", f"{result.accuracy:.4f}")
    record_test(tracker, result, dataset.class_names, step, known=found.test_accuracy)
    return found, result


def record_test(
    tracker: MlflowTracker, result: Evaluation, class_names: tuple[str, ...], step: int, *, known: float | None = None
) -> None:
    """Keep the test results with a run; the metric is left alone where it is `known` to have this value already."""
    if known != result.accuracy:
        tracker.log_metrics({TEST_ACCURACY: result.accuracy, TEST_LOSS: result.loss}, step)
    per_class = dict(zip(class_names, result.per_class_accuracy, strict=True))
    summary = {"accuracy": result.accuracy, "loss": result.loss, "num_samples": result.num_samples}
    tracker.log_text(json.dumps({**summary, "per_class_accuracy": per_class}, indent=2), EVALUATION_FILE)

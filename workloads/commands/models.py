"""Commands that evaluate a registered model and query it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from workloads.commands.options import Json, accuracy, identity, print_table
from workloads.environment import PlatformEnvironment
from workloads.errors import WorkloadError

if TYPE_CHECKING:
    from workloads.registry.evaluate import VersionEvaluation

SHOWN_MISTAKES = 3


def evaluate(
    model: Annotated[str, typer.Option(help="Name of the registered model.")],
    version: Annotated[int | None, typer.Option(help="Version number.")] = None,
    alias: Annotated[str | None, typer.Option(help="Alias of a version, instead of its number.")] = None,
    as_json: Json = False,
) -> None:
    """Evaluate a registered version once on its test images."""
    if (version is None) == (alias is None):
        raise WorkloadError("Name the version to evaluate by one of --version and --alias")
    from workloads.registry.evaluate import evaluate_version

    evaluation = evaluate_version(PlatformEnvironment.read(), model, version=version, alias=alias)
    if as_json:
        found, report = evaluation.version, evaluation.report.as_data()
        about = identity(found) | {"run_id": found.run_id, "dataset": found.dataset}
        typer.echo(json.dumps(about | {"test_accuracy": evaluation.report.accuracy} | report | evaluation.details()))
    else:
        _print_evaluation(evaluation)


def predict(
    model: Annotated[str, typer.Option(help="Name of the registered model.")],
    alias: Annotated[str, typer.Option(help="Alias of the version to query.")] = "production",
    index: Annotated[int, typer.Option(help="Which test image, from 0.")] = 0,
    as_json: Json = False,
) -> None:
    """Predict the class of one test image with a registered model."""
    from workloads.registry.predict import predict as predict_image

    answer = predict_image(PlatformEnvironment.read(), model, alias=alias, index=index)
    if as_json:
        prediction = {
            "index": index,
            "predicted": answer.predicted,
            "probability": answer.probability,
            "label": answer.label,
        }
        typer.echo(
            json.dumps(identity(answer.version) | {"alias": alias, "dataset": answer.version.dataset} | prediction)
        )
    else:
        typer.echo(
            f"{model} version {answer.version.number} ({alias}) on {answer.version.dataset} test image {index}: "
            f"{answer.predicted} (probability {answer.probability:.3f}; true class {answer.label})"
        )


def _print_evaluation(evaluation: VersionEvaluation) -> None:
    """Print the results; the last line is the accuracy."""
    report = evaluation.report
    rows = [
        [one.name, str(one.num_samples), accuracy(one.precision), accuracy(one.recall), accuracy(one.f1)]
        for one in report.classes
    ]
    print_table(["class", "images", "precision", "recall", "F1"], rows)
    for mistake in evaluation.mistakes[:SHOWN_MISTAKES]:
        typer.echo(
            f"image {mistake.index}: {mistake.predicted} (probability {mistake.probability:.3f}), is {mistake.label}"
        )
    for one in evaluation.latencies:
        typer.echo(f"latency of {one.batch_size}: median {one.median_ms:.2f} ms, 95 % within {one.p95_ms:.2f} ms")
    typer.echo(f"measured on {evaluation.machine}")
    typer.echo(f"{evaluation.size.num_parameters:,} parameters, {evaluation.size.num_bytes:,} bytes")
    typer.echo(f"calibration error {report.calibration_error:.4f}  loss {report.loss:.4f}  F1 {report.macro_f1:.4f}")
    typer.echo(f"test accuracy {report.accuracy:.4f}")

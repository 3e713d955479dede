"""Commands, and what is looked at afterwards."""

from __future__ import annotations

from mlflow import MlflowClient
from typer.testing import CliRunner

from workloads.cli import app

MODEL = "digits-classifier"


def invoke(*arguments: str, exit_code: int = 0) -> str:
    """What a command wrote to stdout; its error is raised."""
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result.stdout


def aliases(client: MlflowClient) -> dict[str, int]:
    """From alias to the version that holds it."""
    return {alias: int(number) for alias, number in client.get_registered_model(MODEL).aliases.items()}


def run_of(client: MlflowClient, number: int) -> str:
    """The id of the run that a version came from."""
    return str(client.get_model_version(MODEL, str(number)).run_id)

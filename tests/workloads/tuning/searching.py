from __future__ import annotations

import json
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from typer.testing import CliRunner

from workloads.cli import app

SMALL = ("--set", "data.num_train=300", "--set", "num_threads=1", "--epochs", "2")


def tune(*arguments: str) -> dict[str, Any]:
    outcome = CliRunner().invoke(app, ["tune", *arguments, "--json"], catch_exceptions=False)
    answer: dict[str, Any] = json.loads(outcome.stdout)  # nothing else is on stdout
    return answer


def nested_in(client: MlflowClient, parent: Run) -> list[Run]:
    within = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    return list(client.search_runs([parent.info.experiment_id], within))

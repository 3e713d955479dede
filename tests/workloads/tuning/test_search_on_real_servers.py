"""A search whose record is on MLflow's own server with its login, and whose study is in a real PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import psycopg
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from typer.testing import CliRunner

from tests.workloads.real_servers import real_servers
from workloads.cli import app
from workloads.environment import CHECKPOINTS, PRICE, PlatformEnvironment
from workloads.tracking.connection import connect

BAD_RATE = 1e12
STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ["optuna", "ray"])
def test_a_search_is_recorded_whole(
    environment: PlatformEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    with real_servers() as (servers, database):
        for name, value in servers.variables().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv(CHECKPOINTS, str(tmp_path))
        monkeypatch.setenv(PRICE, "3.6")
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA optuna")  # both keep their version in a table of the same name
        storage = f"{database}?options=-csearch_path%3Doptuna"
        space = f"search.space.optim.lr={{choice: [0.1, 0.02, {BAD_RATE:.0f}.0]}}"
        search = (
            "digits",
            "--engine",
            engine,
            "--workers",
            "2",
            "--trials",
            "8",
            "--run-name",
            "whole",
            "--epochs",
            "3",
        )
        small = ("--set", "data.num_train=600", "--set", "num_threads=1", "--set", space)
        outcome = CliRunner().invoke(
            app, ["tune", *search, *small, "--storage", storage, "--retrain", "--json"], catch_exceptions=False
        )
        result = json.loads(outcome.stdout)

        client = connect(servers)
        parent = client.get_run(result["run_id"])
        within = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        nested = {run.info.run_id: run for run in client.search_runs([parent.info.experiment_id], within)}
        assert len(nested) == 8
        assert {trial["run_id"] for trial in result["trials"]} == set(nested)
        assert {trial["state"] for trial in result["trials"]} == {"complete", "pruned", "failed"}
        for trial in result["trials"]:
            run = nested[trial["run_id"]]
            assert run.info.status == ("FAILED" if trial["state"] == "failed" else "FINISHED")
            points = client.get_metric_history(run.info.run_id, "epoch")
            assert [point.value for point in points] == list(range(1, trial["epochs"] + 1))
        assert parent.info.status == "FINISHED"
        for key in ("seconds", "price_usd"):
            of_trials = sum(run.data.metrics[key] for run in nested.values())
            assert parent.data.metrics[f"search/{key}"] == pytest.approx(of_trials)

        with psycopg.connect(database) as connection:
            [(kept,)] = connection.execute("SELECT count(*) FROM optuna.trials").fetchall()
        assert kept == 8
        read = RDBStorage(storage)
        study = optuna.load_study(study_name="whole", storage=read)
        by_name = {trial.user_attrs["trial"]: trial for trial in study.trials}
        assert {name: STATES[one.state] for name, one in by_name.items()} == {
            trial["name"]: trial["state"] for trial in result["trials"]
        }
        assert study.best_value == result["best"]["val_accuracy"]
        read.remove_session()
        read.engine.dispose()

        version = client.get_model_version("digits-classifier", result["retrained"]["model_version"])
        of_best = client.get_run(str(version.run_id))
        assert of_best.data.params["optim.lr"] == str(result["best"]["params"]["optim.lr"])

"""Searches whose driver or workers are killed by the kernel, and that go on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from tests.workloads.tuning import node_drill
from workloads.environment import CHECKPOINTS, PlatformEnvironment
from workloads.tracking.connection import connect
from workloads.tuning.folder import SearchFolder

REPOSITORY = Path(__file__).resolve().parents[3]
TIMEOUT_S = 500
NUM_TRIALS, NUM_EPOCHS = 10, 16
CONFIG = {
    "data.num_train": 600,
    "num_threads": 1,
    "model.width": 24,
    "search.grace_epochs": NUM_EPOCHS // 2,
    "search.reduction_factor": 2,
}
LOG = Path("search.log")
"""Log of the searches of a test; the working directory is the test's own."""
EPOCH_LINE = re.compile(rf"(trial-\d+)  epoch (\d+)/{NUM_EPOCHS} ")


@pytest.fixture
def searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of searches, set in the environment of the processes started here."""
    monkeypatch.setenv(CHECKPOINTS, str(tmp_path / "runs"))
    return tmp_path / "runs"


def start(engine: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "workloads", "tune", *arguments, "--engine", engine, "--workers", "2", "--json"]
    with LOG.open("a") as log:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)


def begin(engine: str, name: str) -> subprocess.Popen[str]:
    settings = [text for key, value in CONFIG.items() for text in ("--set", f"{key}={value}")]
    search = ("digits", "--run-name", name, "--trials", str(NUM_TRIALS), "--epochs", str(NUM_EPOCHS))
    return start(engine, *search, *settings)


def mark_finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    stdout, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    answer: dict[str, Any] = json.loads(stdout)
    return answer


def wait_for(search: Path, num_ended: int, process: subprocess.Popen[str]) -> None:
    """Until so many trials have ended, and another keeps its state."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        num = len(list(search.glob("trials/*/result.json")))
        if num >= num_ended and list(search.glob("trials/*/checkpoints/*.json")):
            return
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)


def kill(process: subprocess.Popen[str]) -> None:
    """The driver alone; what it started finds out by itself, but for Ray's agents."""
    children = psutil.Process(process.pid).children(recursive=True)
    agents = [child for child in children if child.name().endswith("Agent")]
    process.kill()
    process.communicate(timeout=TIMEOUT_S)
    for agent in agents:
        with suppress(psutil.NoSuchProcess):
            agent.kill()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["optuna", "ray"])
def test_a_search_whose_driver_is_killed_twice_runs_no_trial_again_and_loses_an_epoch_of_each_that_ran(
    environment: PlatformEnvironment, searches: Path, engine: str
) -> None:
    process = begin(engine, "killed")
    ended: dict[Path, int] = {}
    for num_ended in (3, 5):
        wait_for(searches / "killed", num_ended, process)
        kill(process)
        ended |= {path: path.stat().st_mtime_ns for path in searches.glob("killed/trials/*/result.json")}
        process = start(engine, "--resume", "killed")
    result = mark_finished(process)
    assert {path: path.stat().st_mtime_ns for path in ended} == ended
    assert len(result["trials"]) == NUM_TRIALS
    assert {trial["state"] for trial in result["trials"]} <= {"complete", "pruned"}

    client = connect(environment)
    runs = all_runs(client)
    assert len(runs) == NUM_TRIALS + 1
    assert {run.info.status for run in runs} == {"FINISHED"}
    for trial in result["trials"]:
        points = client.get_metric_history(trial["run_id"], "epoch")
        assert [point.value for point in points] == list(range(1, trial["epochs"] + 1))
    trained = sum(trial["seconds"] for trial in result["trials"])
    parent = client.get_run(result["run_id"])
    assert parent.data.metrics["search/seconds"] == pytest.approx(trained)

    # Each kill costs two trials an epoch at most: one in the midst, or one reported whose state was not yet kept.
    epochs_logged = EPOCH_LINE.findall(LOG.read_text())
    num_epochs = sum(trial["epochs"] for trial in result["trials"])
    assert len(set(epochs_logged)) == num_epochs
    assert len(epochs_logged) - len(set(epochs_logged)) <= 2 * 2
    assert num_epochs + 2 * 2 <= 1.05 * num_epochs


def all_runs(client: MlflowClient) -> list[Any]:
    experiment = client.get_experiment_by_name("digits")
    assert experiment
    return list(client.search_runs([experiment.experiment_id]))


@pytest.mark.slow
def test_trials_that_train_in_processes_go_on_from_their_state_when_their_worker_is_killed(
    environment: PlatformEnvironment, searches: Path
) -> None:
    process = begin("optuna", "workers")
    wait_for(searches / "workers", 0, process)
    workers = [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    os.kill(workers[0].pid, signal.SIGKILL)
    result = mark_finished(process)
    assert {trial["state"] for trial in result["trials"]} <= {"complete", "pruned"}
    again = [json.loads(path.read_text()) for path in searches.glob("workers/trials/*/result.json")]
    assert sum(trial["times_lost"] for trial in again) == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_trial_whose_ray_node_is_gone_goes_on_from_its_state_on_another(
    environment: PlatformEnvironment, searches: Path, tmp_path: Path
) -> None:
    changes = CONFIG | {"epochs": NUM_EPOCHS, "search.grace_epochs": NUM_EPOCHS}
    drill = [sys.executable, node_drill.__file__, str(tmp_path), json.dumps(changes), str(NUM_EPOCHS // 2)]
    subprocess.run(drill, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, check=True, timeout=TIMEOUT_S)
    found = SearchFolder.of(PlatformEnvironment.read(), node_drill.NAME)
    assert found
    trials = found.trials()
    assert [(trial.state, trial.num_epochs) for trial in trials] == [("complete", NUM_EPOCHS)] * 2
    assert sorted(trial.times_lost for trial in trials) == [0, 1]
    for trial in trials:
        assert [one.epoch for one in trial.results] == list(range(1, NUM_EPOCHS + 1))
        trained = [int(line) for line in (tmp_path / f"epochs-{trial.number}").read_text().split()]
        again = [NUM_EPOCHS // 2] * trial.times_lost  # the one that was not yet reported
        assert trained == sorted([*range(1, NUM_EPOCHS + 1), *again])
        assert (trial.wasted_s > 0) == bool(trial.times_lost)

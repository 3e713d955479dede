"""Ranks as real processes, started by the command line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from mlp.local.processes import alive
from workloads.environment import PlatformEnvironment
from workloads.errors import RankLost, TrainingDiverged
from workloads.ranks import STORE_FILE
from workloads.tracking.connection import connect
from workloads.training.launch import ERROR_FILE, LAUNCHER, failure_message, report_to_agent

TIMEOUT_S = 90


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "workloads", "train", "digits", "--set", "num_threads=1", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def final_weights(client: MlflowClient, run_name: str) -> dict[str, torch.Tensor]:
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{run_name}'")
    assert run.info.status == "FINISHED"
    return dict(load_file(Path(client.download_artifacts(run.info.run_id, "weights/model.safetensors"))))


@pytest.mark.slow
def test_two_ranks_train_bit_for_bit_the_model_that_one_process_does_in_the_same_pieces(
    environment: PlatformEnvironment,
) -> None:
    # 100 images in batches of 33: shares of 17 and 16, and a last batch of one image, of which rank 1 has none.
    settings = {"model.norm": "group", "global_batch_size": 33, "epochs": 3, "data.num_train": 100}
    settings |= {"compute.micro_batch_size": 17}
    changes = [text for key, value in settings.items() for text in ("--set", f"{key}={value}")]
    for name, ranks in (("one", "1"), ("two", "2")):
        process = start("--ranks", ranks, "--run-name", name, *changes)
        stdout, stderr = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, stderr
        assert re.fullmatch(r"test accuracy 0\.\d{4}", stdout.splitlines()[-1])
        assert len(re.findall("^epoch ", stderr, re.MULTILINE)) == 3  # printed once, not by every rank
    client = connect(environment)
    one, two = final_weights(client, "one"), final_weights(client, "two")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["rank 1", "launcher"])
def test_when_a_process_of_the_run_is_ended_all_end_and_the_record_says_so(
    environment: PlatformEnvironment, victim: str
) -> None:
    launcher = start("--ranks", "2", "--set", "epochs=1000000", "--run-name", "ended")
    assert launcher.stderr is not None
    while not launcher.stderr.readline().startswith("epoch"):
        assert launcher.poll() is None
    ranks = psutil.Process(launcher.pid).children()
    rank_1 = next(rank for rank in ranks if rank.environ()["RANK"] == "1")
    os.kill(*((rank_1.pid, signal.SIGKILL) if victim == "rank 1" else (launcher.pid, signal.SIGTERM)))
    _, stderr = launcher.communicate(timeout=TIMEOUT_S)

    messages = [line for line in stderr.splitlines() if not line.startswith("epoch")]
    if victim == "rank 1":
        assert launcher.returncode == 1
        assert len(messages) == 1
        assert messages[0].startswith(f"workloads: Rank 1 (process {rank_1.pid}) was killed by SIGKILL")
    else:
        assert launcher.returncode == 128 + signal.SIGTERM
        assert messages == ["workloads: ended by SIGTERM"]
    assert not [rank for rank in ranks if alive(rank)]
    client = connect(environment)
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == ("FAILED" if victim == "rank 1" else "KILLED")


COMMAND = """
import sys
from workloads.cli import app, main

@app.command()
def work() -> None:
    print("works", flush=True)
    sys.stdin.read()  # until the test says so
    print("is done", flush=True)

sys.argv = ["workloads", "work"]
main()
"""
PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1]])
"""
AS_RANK = {STORE_FILE: "/ranks", ERROR_FILE: "/error.json", "RANK": "0"}


@pytest.mark.parametrize(
    ("variables", "last_words"),
    [
        pytest.param({}, "is done\n", id="a command goes on without who started it"),
        pytest.param({"RANK": "0"}, "is done\n", id="as does a rank of another launcher"),
        pytest.param(AS_RANK, "" if sys.platform == "linux" else "is done\n", id="a rank ends with its launcher"),
    ],
)
def test_who_goes_on_when_the_process_that_started_it_is_killed(variables: dict[str, str], last_words: str) -> None:
    here = {name: value for name, value in os.environ.items() if name not in AS_RANK}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, COMMAND],
        env=here | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert parent.stdout.readline() == "works\n"
        parent.kill()
        parent.wait()  # the kernel has told its children by now
        parent.stdin.close()
        assert parent.stdout.read() == last_words


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_a_rank_whose_launcher_was_gone_before_it_could_ask_to_be_told_ends_at_once() -> None:
    gone = AS_RANK | {LAUNCHER: "1"}  # whose child it has become
    done = subprocess.run(
        [sys.executable, "-c", COMMAND], env=os.environ | gone, input="", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGTERM, "", "")


def failure(folder: Path, rank: int, *, exitcode: int, error: Exception | None = None) -> ProcessFailure:
    """What the agent knows of a rank that failed, and left a report if it had an error."""
    path = folder / f"{rank}.json"
    if isinstance(error, RankLost | TrainingDiverged):
        assert report_to_agent(error, {ERROR_FILE: str(path), STORE_FILE: "x"})
    return ProcessFailure(local_rank=rank, pid=100 + rank, exitcode=exitcode, error_file=str(path))


def test_the_rank_to_blame_is_not_one_that_only_lost_another(tmp_path: Path) -> None:
    lost = failure(tmp_path, 0, exitcode=1, error=RankLost("Rank 0 lost another"))
    time.sleep(1.1)  # the agent's time stamps are whole seconds
    killed = failure(tmp_path, 1, exitcode=-signal.SIGKILL)
    assert failure_message({0: lost, 1: killed}).startswith("Rank 1 (process 101) was killed by SIGKILL")


def test_an_error_of_the_users_is_told_in_its_own_words(tmp_path: Path) -> None:
    ended = failure(tmp_path, 0, exitcode=-signal.SIGTERM)
    diverged = failure(tmp_path, 1, exitcode=1, error=TrainingDiverged("The loss is not finite"))
    assert failure_message({0: ended, 1: diverged}) == "The loss is not finite"


def test_a_fault_without_a_report_points_at_the_output_above(tmp_path: Path) -> None:
    assert (
        failure_message({0: failure(tmp_path, 0, exitcode=3)}) == "Rank 0 ended with exit code 3; its output is above"
    )


def test_a_process_that_no_agent_watches_has_nobody_to_report_to() -> None:
    assert not report_to_agent(TrainingDiverged("x"), {})

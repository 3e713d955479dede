"""Runs whose processes are killed by the kernel at steps nobody chose, and that go on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from workloads.checkpoints.checkpoints import Checkpoints
from workloads.checkpoints.store import FolderStore
from workloads.environment import CHECKPOINTS

TIMEOUT_S = 600
NUM_STEPS = 60
# 300 images in batches of 50; wide enough that a step takes a while.
CONFIG = {
    "model.width": 24,
    "model.dropout": 0.1,
    "data.num_train": 300,
    "data.augmentation": "flip_shift",
    "global_batch_size": 50,
    "epochs": 10,
    "num_threads": 1,
    "checkpoint.every_steps": 1,
}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of checkpoints, set in the environment of the processes started here."""
    monkeypatch.setenv(CHECKPOINTS, str(tmp_path / "runs"))
    return tmp_path / "runs"


def start(*arguments: str, changes: dict[str, object] | None = None) -> subprocess.Popen[str]:
    assignments = [text for key, value in (changes or {}).items() for text in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "workloads", "train", *arguments, *assignments]
    quiet = ["--no-tracking", "--no-register", "--no-test"]
    return subprocess.Popen([*command, *quiet], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], exit_code: int = 0) -> str:
    _, stderr = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == exit_code, stderr
    return stderr


def wait_for_step(run: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Until a checkpoint of that step, or a later one, is there."""
    deadline = time.monotonic() + TIMEOUT_S
    while not any(int(path.stem) >= step for path in run.glob("checkpoints/*.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)


def ranks_of(launcher: subprocess.Popen[str]) -> list[psutil.Process]:
    """Rank 0 first."""
    while True:
        try:
            children = psutil.Process(launcher.pid).children()
            ranks = {int(child.environ()["RANK"]): child for child in children if "RANK" in child.environ()}
        except (psutil.Error, FileNotFoundError):  # one that is just ending
            continue
        if len(ranks) == 2:
            return [ranks[0], ranks[1]]


def final_weights(run: Path) -> torch.Tensor:
    state = Checkpoints(FolderStore(run)).newest()
    assert state is not None
    assert state["step"] == NUM_STEPS
    return torch.cat([tensor.flatten().double() for tensor in state["model"].values()])


@pytest.mark.timeout(1200)  # each restart imports torch twice
@pytest.mark.parametrize("num_kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_two_ranks_of_which_one_is_killed_again_and_again_give_the_weights_of_those_left_alone(
    runs: Path, num_kills: int
) -> None:
    finish(start("digits", "--run-name", "whole", "--ranks", "2", changes=CONFIG))
    rng = random.Random(num_kills)  # noqa: S311  which step is killed is no secret
    launcher = start("digits", "--run-name", "killed", "--ranks", "2", "--max-restarts", str(num_kills), changes=CONFIG)
    steps = sorted(rng.sample(range(1, NUM_STEPS - 2), num_kills))
    for step in steps:
        wait_for_step(runs / "killed", step, launcher)
        victim = rng.choice(ranks_of(launcher))
        victim.send_signal(signal.SIGKILL)
        victim.wait(TIMEOUT_S)
    finish(launcher)
    assert torch.equal(final_weights(runs / "killed"), final_weights(runs / "whole"))


@pytest.mark.slow
def test_a_process_that_is_killed_goes_on_by_its_name_with_more_ranks_or_fewer(runs: Path) -> None:
    pieces = {"compute.micro_batch_size": 25}  # a rank's share, where there are two
    config = CONFIG | pieces | {"model.norm": "group", "model.dropout": 0.0}
    finish(start("digits", "--run-name", "whole", changes=config))
    for number, (step, ranks) in enumerate([(10, 2), (30, 1), (NUM_STEPS, 2)]):
        run = ["--resume", "moved"] if number else ["digits", "--run-name", "moved"]
        process = start(*run, "--ranks", str(ranks), changes=None if number else config)
        if step < NUM_STEPS:
            wait_for_step(runs / "moved", step, process)
            workers = ranks_of(process) if ranks == 2 else []
            process.kill()
            for worker in workers:
                worker.kill()
            process.communicate(timeout=TIMEOUT_S)
        else:
            finish(process)
    assert torch.equal(final_weights(runs / "moved"), final_weights(runs / "whole"))


@pytest.mark.parametrize("ranks", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_sigterm_saves_the_step_and_ends_with_the_restart_code(runs: Path, ranks: str) -> None:
    config = CONFIG | {"checkpoint.every_steps": "null", "epochs": 100_000}
    process = start("digits", "--run-name", "stopped", "--ranks", ranks, changes=config)
    wait_for_step(runs / "stopped", 6, process)  # the first epoch; epochs are shorter than the time between two looks
    process.send_signal(signal.SIGTERM)
    messages = [line for line in finish(process, exit_code=75).splitlines() if not line.startswith("epoch")]
    state = Checkpoints(FolderStore(runs / "stopped")).newest()
    assert state is not None
    step = state["step"]
    next_step = "resume it with: python -m workloads train --resume stopped"
    assert messages == [f"workloads: The run was asked to stop and did so after step {step} of 600000; {next_step}"]

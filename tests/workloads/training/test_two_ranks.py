"""Two real ranks with what a config may ask of them: against one process, and ended and gone on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workloads.training.test_kills import finish, wait_for_step
from workloads.checkpoints.checkpoints import Checkpoints
from workloads.checkpoints.store import FolderStore
from workloads.environment import CHECKPOINTS

pytestmark = pytest.mark.slow
BASE: dict[str, Any] = {
    "model.norm": "group",
    "data.num_train": 300,
    "global_batch_size": 50,
    "epochs": 8,
    "num_threads": 1,
    "checkpoint.every_steps": 1,
}
NUM_STEPS = 48


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CHECKPOINTS, str(tmp_path / "runs"))
    return tmp_path / "runs"


def start(name: str, ranks: int, changes: dict[str, object], *, resume: bool = False) -> subprocess.Popen[str]:
    values = [text for key, value in (BASE | changes).items() for text in ("--set", f"{key}={value}")]
    run = ["--resume", name] if resume else ["digits", "--run-name", name, *values]
    command = [sys.executable, "-m", "workloads", "train", *run, "--ranks", str(ranks)]
    quiet = ["--no-tracking", "--no-register", "--no-test"]
    return subprocess.Popen([*command, *quiet], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def final_weights(run: Path, num_steps: int = NUM_STEPS) -> torch.Tensor:
    state = Checkpoints(FolderStore(run)).newest()
    assert state is not None
    assert state["step"] == num_steps
    kept = state["average"] or state["model"]
    return torch.cat([tensor.flatten().double() for tensor in kept.values()])


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"data.augmentation": "rand_augment", "data.mix": "cutmix"}, id="changed and mixed images"),
        pytest.param({"optim.ema_decay": 0.9}, id="averaged weights"),
        pytest.param({"distributed.static_graph": "true", "distributed.bucket_mib": 1}, id="static graph"),
        pytest.param({"optim.name": "adamw", "optim.lr": 0.003, "optim.max_grad_norm": 1.0}, id="adamw, clipped"),
    ],
)
def test_two_ranks_train_bit_for_bit_the_model_that_one_process_does_in_two_pieces(
    runs: Path, changes: dict[str, object]
) -> None:
    finish(start("one", 1, changes | {"compute.micro_batch_size": BASE["global_batch_size"] // 2}))
    finish(start("two", 2, changes))
    assert torch.equal(final_weights(runs / "one"), final_weights(runs / "two"))


@pytest.mark.parametrize("static_graph", ["false", "true"])
def test_two_ranks_in_pieces_train_nearly_the_model_that_one_process_does_at_once(
    runs: Path, static_graph: str
) -> None:
    # Few steps: sums of other pieces are rounded otherwise, and each step makes more of the difference.
    changes: dict[str, object] = {"distributed.static_graph": static_graph, "epochs": 2}
    finish(start("one", 1, changes))
    finish(start("two", 2, changes | {"compute.micro_batch_size": 4}))
    one, two = (final_weights(runs / name, num_steps=12) for name in ("one", "two"))
    assert float((one - two).abs().max()) <= 1e-5


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"distributed.compression": "power_sgd", "distributed.power_sgd_start_step": 5}, id="power_sgd"),
        pytest.param({"distributed.compression": "fp16", "model.norm": "batch", "optim.ema_decay": 0.9}, id="fp16"),
        pytest.param({"distributed.static_graph": "true", "compute.precision": "fp16"}, id="static graph, fp16"),
    ],
)
def test_ranks_that_were_ended_go_on_bit_for_bit(runs: Path, changes: dict[str, object]) -> None:
    changes = changes | {"model.width": 24}
    finish(start("whole", 2, changes))
    process = start("ended", 2, changes)
    wait_for_step(runs / "ended", 20, process)
    process.send_signal(signal.SIGTERM)
    finish(process, exit_code=75)
    finish(start("ended", 2, changes, resume=True))
    assert torch.equal(final_weights(runs / "ended"), final_weights(runs / "whole"))


def test_a_compression_that_the_transport_cannot_send_is_one_clear_message(runs: Path) -> None:
    stderr = finish(start("refused", 2, {"distributed.compression": "bf16"}), exit_code=1)
    assert stderr == (
        "workloads: distributed.compression is bf16, which gloo, the transport between ranks on cpu, cannot send; "
        "use fp16, power_sgd or none\n"
    )

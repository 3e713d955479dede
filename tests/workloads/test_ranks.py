from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from workloads.errors import RankLost, WorkloadError
from workloads.ranks import STORE_FILE, Ranks, detect_lost_ranks, num_cores
from workloads.training.devices import default_threads, detect_hardware, resolve_device, resolve_precision

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}


def test_a_process_that_torchrun_did_not_start_is_the_only_rank() -> None:
    assert Ranks.from_environment({}) == Ranks(rank=0, world_size=1)


def test_what_torchrun_set_is_read_once() -> None:
    ranks = Ranks.from_environment(TORCHRUN | {STORE_FILE: "/meet"})
    assert (ranks.rank, ranks.world_size, ranks.local_rank, ranks.local_world_size) == (3, 4, 1, 2)
    assert ranks.store_file == "/meet"
    assert ranks.started_by_torchrun
    assert not ranks.is_first


def test_half_an_environment_is_an_error_that_shows_it() -> None:
    with pytest.raises(WorkloadError, match=r"RANK=0, WORLD_SIZE=, .*unset RANK"):
        Ranks.from_environment({"RANK": "0"})


GONE = "[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:34561\nException raised from gloo"
OUT_OF_MEMORY = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 68719476736 bytes"


@pytest.mark.parametrize("error", [RuntimeError(GONE), dist.DistBackendError("a collective timed out")], ids=str)
def test_a_collective_that_fails_is_a_lost_rank_told_in_one_line(error: RuntimeError) -> None:
    ranks = Ranks(rank=1, world_size=2)
    with pytest.raises(RankLost, match=r"^Rank 1 lost another rank of 2: .*$") as raised, detect_lost_ranks(ranks):
        raise error
    assert raised.value.__cause__ is error
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("world_size", "text"),
    [
        pytest.param(2, OUT_OF_MEMORY, id="another fault on two ranks"),
        pytest.param(1, OUT_OF_MEMORY, id="another fault on one"),
        pytest.param(1, GONE, id="one rank has none to lose"),
    ],
)
def test_any_other_fault_of_a_rank_stays_what_it_is(world_size: int, text: str) -> None:
    error = RuntimeError(text)
    with pytest.raises(RuntimeError) as raised, detect_lost_ranks(Ranks(world_size=world_size)):
        raise error
    assert raised.value is error


def test_cores_are_shared_among_the_ranks_of_a_machine() -> None:
    assert default_threads(1) == num_cores()
    assert default_threads(10 * num_cores()) == 1


def test_more_ranks_than_gpus_cannot_have_cuda() -> None:
    with pytest.raises(WorkloadError, match=r"device is cuda; this machine has .* GPUs for 1000 ranks"):
        resolve_device("cuda", Ranks(world_size=1000, local_world_size=1000))


def test_a_machine_without_enough_gpus_trains_on_its_cpu() -> None:
    assert resolve_device("auto", Ranks(world_size=1000, local_world_size=1000)).type == "cpu"


def test_apples_gpus_take_one_rank() -> None:
    with pytest.raises(WorkloadError, match=r"device is mps; .* a single rank, here are 2; use --set device=auto"):
        resolve_device("mps", Ranks(world_size=2, local_world_size=2))


@pytest.mark.parametrize(
    ("capability", "expected"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16"), ((6, 1), "fp32")]
)
def test_a_gpu_multiplies_in_the_precision_that_it_has_units_for(
    capability: tuple[int, int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision("auto", torch.device("cuda", 0)) == expected
    assert resolve_precision("fp32", torch.device("cuda", 0)) == "fp32"


def test_a_cpu_computes_in_float32_unless_told_otherwise() -> None:
    assert resolve_precision("auto", torch.device("cpu")) == "fp32"
    assert resolve_precision("bf16", torch.device("cpu")) == "bf16"


def test_what_is_found_here_is_what_a_run_would_take() -> None:
    here = detect_hardware()
    assert here.device == resolve_device("auto", Ranks()).type
    assert here.num_cores == num_cores()
    assert len(here.gpus) == torch.cuda.device_count()

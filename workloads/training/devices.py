"""Where tensors live and how many CPU threads work on them."""

from __future__ import annotations

import torch

from workloads.errors import WorkloadError
from workloads.training.ranks import Ranks, num_cores


def resolve_device(name: str, ranks: Ranks) -> torch.device:
    """The device of this rank for `auto`, `cpu` or `cuda`; `auto` takes CUDA if each local rank has its own GPU."""
    num_gpus = torch.cuda.device_count()
    if name == "cuda" and num_gpus < ranks.local_world_size:
        raise WorkloadError(
            f"device is cuda; this machine has {num_gpus} GPUs for {ranks.local_world_size} ranks; "
            "use --set device=cpu or fewer --ranks"
        )
    if name == "cpu" or num_gpus < ranks.local_world_size:
        return torch.device("cpu")
    device = torch.device("cuda", ranks.local_rank)
    torch.cuda.set_device(device)
    return device


def set_threads(num_threads: int | None, ranks: Ranks) -> int:
    """The CPU threads that this rank now uses: `num_threads`, or its part of the cores if None."""
    threads = num_threads or default_threads(ranks.local_world_size)
    torch.set_num_threads(threads)
    return threads


def default_threads(local_world_size: int) -> int:
    """Cores of this machine for each of its ranks."""
    return max(1, num_cores() // local_world_size)

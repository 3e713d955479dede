"""Device, precision and number of CPU threads of a run."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from workloads.errors import WorkloadError
from workloads.ranks import Ranks, num_cores

BF16_CAPABILITY = (8, 0)
"""Compute capability of Ampere, the first of NVIDIA's GPUs with units for bf16 (https://docs.nvidia.com/cuda/cuda-c-
programming-guide/)."""
FP16_CAPABILITY = (7, 0)
"""Compute capability of Volta, the first of NVIDIA's GPUs with units for fp16."""
GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """The hardware that this machine offers a run."""

    device: str
    """Type of the device that `auto` selects."""
    precision: str
    """Precision that `auto` selects."""
    num_cores: int
    """CPU cores that this process may use."""
    memory_gib: float | None
    """Memory of the machine in GiB; None where the system does not report it."""
    gpus: tuple[str, ...]
    """Name and memory of each GPU."""


def resolve_device(name: str, ranks: Ranks) -> torch.device:
    """Return the device of this rank for `auto`, `cpu`, `cuda` or `mps`.

    `auto` selects CUDA if each local rank has its own GPU, MPS (Apple's) for a single rank, since it has no transport
    between ranks, and else the CPU. Raises WorkloadError where the machine lacks the named device.
    """
    num_gpus = torch.cuda.device_count()
    has_gpus = num_gpus >= ranks.local_world_size
    has_mps = torch.backends.mps.is_available() and ranks.world_size == 1
    if name == "cuda" and not has_gpus:
        raise WorkloadError(
            f"device is cuda; this machine has {num_gpus} GPUs for {ranks.local_world_size} ranks; "
            "use --set device=cpu or fewer --ranks"
        )
    if name == "mps" and not has_mps:
        raise WorkloadError(
            f"device is mps; it takes one of Apple's GPUs and a single rank, here are {ranks.world_size}; "
            "use --set device=auto"
        )
    if name in ("auto", "cuda") and has_gpus:
        device = torch.device("cuda", ranks.local_rank)
        torch.cuda.set_device(device)
        return device
    return torch.device("mps" if name in ("auto", "mps") and has_mps else "cpu")


def resolve_precision(name: str, device: torch.device) -> str:
    """Return `fp32`, `bf16` or `fp16`: the named one, or for `auto` the one that the device has units for."""
    if name != "auto" or device.type != "cuda":
        return "fp32" if name == "auto" else name
    capability = torch.cuda.get_device_capability(device)
    return "bf16" if capability >= BF16_CAPABILITY else "fp16" if capability >= FP16_CAPABILITY else "fp32"


def set_threads(num_threads: int | None, ranks: Ranks) -> int:
    """Set torch's CPU threads to `num_threads`, or to this rank's part of the cores if None; return the number."""
    threads = num_threads or default_threads(ranks.local_world_size)
    torch.set_num_threads(threads)
    return threads


def default_threads(local_world_size: int) -> int:
    """Return this machine's cores divided by its ranks, at least 1."""
    return max(1, num_cores() // local_world_size)


def detect_hardware() -> Hardware:
    """Detect the hardware of this machine."""
    device = resolve_device("auto", Ranks())
    properties = [torch.cuda.get_device_properties(at) for at in range(torch.cuda.device_count())]
    return Hardware(
        device=device.type,
        precision=resolve_precision("auto", device),
        num_cores=num_cores(),
        memory_gib=_memory_gib(),
        gpus=tuple(f"{each.name}, {each.total_memory / GIB:.0f} GiB" for each in properties),
    )


def _memory_gib() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    except (ValueError, OSError, AttributeError):  # not on every system
        return None

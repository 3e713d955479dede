"""Latency and size of a model on this machine."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from workloads.models.classifier import num_parameters
from workloads.ranks import num_cores

BATCHES = (1, 64)
WARM_UP, MAX_RUNS, MIN_RUNS = 5, 100, 10
MAX_S = 1.0
"""Longest time for which a batch size is measured, in seconds, unless `MIN_RUNS` take longer."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Time from a batch of images to its logits, in milliseconds."""

    batch_size: int
    median_ms: float
    p95_ms: float
    num_runs: int


@dataclass(frozen=True, kw_only=True)
class Size:
    """The size of a model."""

    num_parameters: int
    num_bytes: int
    """Bytes of parameters and buffers."""


@torch.no_grad()
def latency(classify: Callable[[Tensor], Tensor], images: Tensor, batch_size: int) -> Latency:
    """Measure `classify` (uint8 [N, C, H, W] to logits) on `batch_size` images, repeated where there are too few."""
    batch = images[torch.arange(batch_size) % len(images)]
    times_ms: list[float] = []
    for _ in range(WARM_UP):
        classify(batch)
    began = time.perf_counter()
    while len(times_ms) < MAX_RUNS and (len(times_ms) < MIN_RUNS or time.perf_counter() - began < MAX_S):
        started = time.perf_counter()
        classify(batch)
        times_ms.append((time.perf_counter() - started) * 1000)
    return Latency(
        batch_size=batch_size,
        median_ms=statistics.median(times_ms),
        p95_ms=statistics.quantiles(times_ms, n=20, method="inclusive")[-1],
        num_runs=len(times_ms),
    )


def size(module: nn.Module) -> Size:
    """Return the number of parameters and of bytes of a module."""
    tensors = module.state_dict().values()
    return Size(
        num_parameters=num_parameters(module),
        num_bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
    )


def machine() -> str:
    """Describe this machine in a line: processor, usable cores, torch's threads and version."""
    return f"{_processor()}, {num_cores()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

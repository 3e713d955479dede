"""Load of the machine on which the first rank trains."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import psutil
import torch

logger = logging.getLogger(__name__)

GIB = 2**30


def system_metrics(device: torch.device) -> Callable[[], Mapping[str, float]]:
    """Return a function that samples the machine's load since its previous call, as metrics by name."""
    process = psutil.Process()
    psutil.cpu_percent()  # the first call only begins to measure

    def sample() -> Mapping[str, float]:
        metrics = {
            "system/cpu_percent": psutil.cpu_percent(),  # of all cores
            "system/memory_percent": psutil.virtual_memory().percent,
            "system/process_memory_gib": process.memory_info().rss / GIB,
        }
        if device.type == "cuda":
            metrics |= _gpu_metrics(device)
        return metrics

    return sample


def _gpu_metrics(device: torch.device) -> dict[str, float]:
    free, total = torch.cuda.mem_get_info(device)
    metrics = {"system/gpu_memory_gib": (total - free) / GIB}
    try:
        metrics["system/gpu_percent"] = torch.cuda.utilization(device)
    except Exception:  # NVIDIA's management library may be missing, or refuse with errors of its own
        logger.debug("the use of the GPU cannot be read", exc_info=True)
    return metrics

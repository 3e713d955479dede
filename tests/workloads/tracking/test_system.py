from __future__ import annotations

import psutil
import pytest
import torch

from workloads.tracking.system import system_metrics


def test_the_machine_is_described_in_percent_and_gib() -> None:
    found = system_metrics(torch.device("cpu"))()
    assert set(found) == {"system/cpu_percent", "system/memory_percent", "system/process_memory_gib"}
    assert found["system/process_memory_gib"] == pytest.approx(psutil.Process().memory_info().rss / 1024**3, rel=0.1)
    assert 0 < found["system/memory_percent"] <= 100
    assert 0 <= found["system/cpu_percent"] <= 100

"""A search on a node of Ray's that has no memory left for workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.workloads.tuning.objectives import Pretended, config, study
from workloads.environment import PlatformEnvironment
from workloads.errors import ClusterError
from workloads.ray_cluster import connected_to_ray
from workloads.tuning import on_ray

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_workers_that_ray_kills_for_memory_are_asked_for_again_before_the_search_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")  # of the machine's: less than what runs anyway
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    monkeypatch.setattr(on_ray, "START_TIMEOUT_S", 5.0)
    started = 0

    def worker(*arguments: Any) -> Any:
        nonlocal started
        started += 1
        return real(*arguments)

    real = on_ray._Worker
    monkeypatch.setattr(on_ray, "_Worker", worker)
    searched = study(config(3), num_trials=6)
    variables = {"PYTHONPATH": str(REPOSITORY)}
    with (
        connected_to_ray(PlatformEnvironment(), num_cpus=1, variables=variables),
        pytest.raises(ClusterError, match=r"cannot start a worker for trials: .*low on memory"),
    ):
        on_ray.run(searched, Pretended(3, tmp_path / "log"), resources={"CPU": 1.0}, num_workers=lambda: 1)
    assert started > 1
    assert searched.trials == []

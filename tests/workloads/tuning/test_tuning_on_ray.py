from __future__ import annotations

from pathlib import Path

import pytest

from tests.workloads.tuning.objectives import Pretended, config, folder, study
from workloads.environment import PlatformEnvironment
from workloads.ray_cluster import connected_to_ray
from workloads.tuning import on_ray
from workloads.tuning.states import COMPLETE, FAILED

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_trials_on_ray_share_workers_fail_alone_and_go_on_from_their_state_when_a_worker_is_lost(
    environment: PlatformEnvironment, tmp_path: Path
) -> None:
    searched = study(config(3, grace_epochs=3), num_trials=6, folder=folder(tmp_path))
    objective = Pretended(3, tmp_path / "log", fails=(4,), kills_at=((1, 3),))
    with connected_to_ray(environment, num_cpus=1, variables={"PYTHONPATH": str(REPOSITORY)}):
        on_ray.run(searched, objective, resources={"cpu": 1}, max_concurrent=None)
    assert [trial.state for trial in searched.trials] == [COMPLETE] * 4 + [FAILED, COMPLETE]
    assert searched.trials[4].error == "ValueError: no luck"
    assert [trial.times_lost for trial in searched.trials] == [0, 1, 0, 0, 0, 0]
    assert sorted(objective.epochs()) == [(n, e) for n in range(6) if n != 4 for e in (1, 2, 3)]
    assert objective.worker(1, 2) != objective.worker(1, 3)
    assert objective.worker(2, 1) == objective.worker(3, 3)

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workloads.tuning.objectives import CannotArrive, Pretended, config, folder, study
from workloads.environment import PlatformEnvironment
from workloads.errors import ClusterError
from workloads.ray_cluster import connected_to_ray
from workloads.tuning import on_ray
from workloads.tuning.states import COMPLETE, FAILED, PRUNED

REPOSITORY = Path(__file__).resolve().parents[3]
ONE_CPU = {"CPU": 1.0}


@pytest.fixture(scope="module")
def _ray() -> Iterator[None]:
    with connected_to_ray(PlatformEnvironment(), num_cpus=1, variables={"PYTHONPATH": str(REPOSITORY)}):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("_ray")
def test_trials_on_ray_share_workers_fail_alone_and_go_on_from_their_state_when_a_worker_is_lost(
    tmp_path: Path,
) -> None:
    searched = study(config(3, grace_epochs=3), num_trials=6, folder=folder(tmp_path))
    objective = Pretended(3, tmp_path / "log", fails=(4,), kills_at=((1, 3),))
    on_ray.run(searched, objective, resources=ONE_CPU, num_workers=lambda: 1)
    assert [trial.state for trial in searched.trials] == [COMPLETE] * 4 + [FAILED, COMPLETE]
    assert searched.trials[4].error == "ValueError: no luck"
    assert [trial.times_lost for trial in searched.trials] == [0, 1, 0, 0, 0, 0]
    assert sorted(objective.epochs()) == [(n, e) for n in range(6) if n != 4 for e in (1, 2, 3)]
    assert objective.worker(1, 2) != objective.worker(1, 3)
    assert objective.worker(2, 1) == objective.worker(3, 3)


@pytest.mark.slow
@pytest.mark.usefixtures("_ray")
def test_workers_that_find_no_room_on_the_cluster_get_no_trials(tmp_path: Path) -> None:
    searched = study(config(3), num_trials=6)
    objective = Pretended(3, tmp_path / "log")
    on_ray.run(searched, objective, resources=ONE_CPU, num_workers=lambda: 3)
    assert {trial.state for trial in searched.trials} == {COMPLETE, PRUNED}
    assert len({objective.worker(number, 1) for number in range(6)}) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("_ray")
def test_a_search_whose_workers_cannot_start_ends(tmp_path: Path) -> None:
    searched = study(config(3), num_trials=6)
    with pytest.raises(ClusterError, match=r"cannot start a worker for trials: .*invalid literal.*'no number'"):
        on_ray.run(searched, CannotArrive(), resources=ONE_CPU, num_workers=lambda: 1)
    assert searched.trials == []

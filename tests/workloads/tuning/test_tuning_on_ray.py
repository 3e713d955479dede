from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workloads.tuning.objectives import CannotArrive, Deserted, LosesRank, Pretended, config, folder, study
from workloads.config import load_config
from workloads.environment import PlatformEnvironment
from workloads.errors import ClusterError
from workloads.ray_cluster import connected_to_ray
from workloads.tuning import on_ray
from workloads.tuning.states import COMPLETE, FAILED, PRUNED
from workloads.tuning.trial import Training

REPOSITORY = Path(__file__).resolve().parents[3]
ONE_CPU = {"CPU": 1.0}


@pytest.fixture(scope="module")
def _ray() -> Iterator[None]:
    variables = {"PYTHONPATH": str(REPOSITORY), "GLOO_SOCKET_IFNAME": "lo"}
    with connected_to_ray(PlatformEnvironment(), num_cpus=2, variables=variables):
        yield


@pytest.mark.usefixtures("_ray")
def test_trials_on_ray_start_report_and_end_and_the_last_is_kept_though_it_ended_early(tmp_path: Path) -> None:
    searched = study(config(2), num_trials=3, folder=folder(tmp_path))
    objective = Pretended(2, tmp_path / "log")
    on_ray.run(searched, objective, resources=ONE_CPU, num_workers=lambda: 1)
    assert [trial.state for trial in searched.trials] == [COMPLETE, PRUNED, PRUNED]
    assert objective.epochs() == [(0, 1), (0, 2), (1, 1), (2, 1)]
    assert folder(tmp_path).trials() == searched.trials


@pytest.mark.slow
@pytest.mark.usefixtures("_ray")
def test_a_trial_whose_first_rank_misses_another_before_ray_does_goes_on_from_its_state(tmp_path: Path) -> None:
    searched = study(config(3), num_trials=1, folder=folder(tmp_path))
    objective = Deserted(3, tmp_path / "log")
    on_ray.run(searched, objective, resources=ONE_CPU, num_workers=lambda: 1, ranks_per_worker=2)
    [trial] = searched.trials
    assert (trial.state, trial.times_lost) == (COMPLETE, 1)
    assert objective.epochs() == [(0, 1), (0, 2), (0, 3)]


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
    on_ray.run(searched, objective, resources=ONE_CPU, num_workers=lambda: 5)
    assert {trial.state for trial in searched.trials} == {COMPLETE, PRUNED}
    assert len({objective.worker(number, 1) for number in range(6)}) <= 2


@pytest.mark.slow
@pytest.mark.usefixtures("_ray")
def test_a_search_whose_workers_cannot_start_ends(tmp_path: Path) -> None:
    searched = study(config(3), num_trials=6)
    with pytest.raises(ClusterError, match=r"cannot start a worker for trials: .*invalid literal.*'no number'"):
        on_ray.run(searched, CannotArrive(), resources=ONE_CPU, num_workers=lambda: 1)
    assert searched.trials == []


@pytest.mark.slow
@pytest.mark.usefixtures("_ray")
def test_ranks_that_train_a_trial_together_end_early_together_and_fail_together(
    tmp_path: Path,
) -> None:
    small = {"epochs": 3, "data.num_train": 300, "num_threads": 1, "model.norm": "group"}
    pieces = {"global_batch_size": 50, "compute.micro_batch_size": 25}  # a rank's share: with them all is equal
    rates = {"search.space.optim.lr": {"choice": [0.1, 1e12]}}
    searched = load_config("digits", small | pieces | rates)
    one, two = (study(searched, num_trials=6, folder=folder(tmp_path / str(number))) for number in (1, 2))
    training = Training(config=searched, num_threads=1)
    on_ray.run(one, training, resources=ONE_CPU, num_workers=lambda: 1)
    on_ray.run(two, training, resources=ONE_CPU, num_workers=lambda: 1, ranks_per_worker=2)
    assert {trial.state for trial in two.trials} == {COMPLETE, PRUNED, FAILED}
    for alone, together in zip(one.trials, two.trials, strict=True):
        assert together.params == alone.params
        assert (together.state, together.num_epochs) == (alone.state, alone.num_epochs)
        if together.state == FAILED:
            assert "not finite at step" in str(together.error)
        for ours, theirs in zip(together.results, alone.results, strict=True):
            assert ours.val_accuracy == theirs.val_accuracy
            assert ours.val_loss == pytest.approx(theirs.val_loss, rel=1e-12)  # a sum over the images in another order


@pytest.mark.slow
@pytest.mark.usefixtures("_ray")
def test_a_trial_that_loses_one_of_its_ranks_goes_on_from_its_state(
    tmp_path: Path,
) -> None:
    searched = load_config("digits", {"epochs": 4, "data.num_train": 300, "num_threads": 1})
    lost = study(searched, num_trials=1, folder=folder(tmp_path))
    training = LosesRank(config=searched, num_threads=1, place=tmp_path, rank=1, at_epoch=3)
    on_ray.run(lost, training, resources=ONE_CPU, num_workers=lambda: 1, ranks_per_worker=2)
    [trial] = lost.trials
    assert (trial.state, trial.times_lost) == (COMPLETE, 1)
    assert [one.epoch for one in trial.results] == [1, 2, 3, 4]
    assert [one.is_told_again for one in trial.results] == [False] * 4

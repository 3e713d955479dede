from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from workloads.tuning.halving import Halving, expected_epochs


@pytest.mark.parametrize(("num_epochs", "grace", "factor"), [(16, 1, 4), (9, 1, 3), (20, 2, 3), (5, 1, 3), (3, 3, 2)])
def test_trials_are_ended_where_ray_tunes_scheduler_ends_them(num_epochs: int, grace: int, factor: int) -> None:
    rng = random.Random(num_epochs)  # noqa: S311  no secret
    ours = Halving(num_epochs=num_epochs, grace=grace, factor=factor)
    rays = ASHAScheduler(
        time_attr="epoch", metric="value", mode="max", max_t=num_epochs, grace_period=grace, reduction_factor=factor
    )
    running = dict.fromkeys(range(80), 0)
    for number in running:
        rays.on_trial_add(controller(), trial(number))
    ended = set()
    while running:
        number = rng.choice([*running][:8])  # eight at once
        running[number] += 1
        epoch, value = running[number], rng.random()
        answer = rays.on_trial_result(controller(), trial(number), {"epoch": epoch, "value": value})
        if epoch == num_epochs:
            del running[number]
            continue
        assert ours.should_continue(epoch, value) == (answer == TrialScheduler.CONTINUE), (number, epoch)
        if answer == TrialScheduler.STOP:
            del running[number]
            ended.add(number)
    assert ended or grace >= num_epochs


def controller() -> Any:
    """What the scheduler is handed and does not look at."""
    return SimpleNamespace()


def trial(number: int) -> Trial:
    """As much of Tune's trial as its scheduler looks at."""
    as_much: Trial = SimpleNamespace(trial_id=str(number))  # type: ignore[assignment]  # a stand-in
    return as_much


def test_results_from_before_count_among_those_that_a_trial_is_compared_with() -> None:
    halving = Halving(num_epochs=9, grace=1, factor=3)
    for value in (0.5, 0.6, 0.7):
        halving.record(1, value)
    assert not halving.should_continue(1, 0.55)
    assert halving.should_continue(1, 0.69)
    assert halving.should_continue(2, 0.0)  # no rung


def test_fewer_epochs_are_expected_of_more_trials_each_and_all_of_them_of_one() -> None:
    shares = [expected_epochs(n, num_epochs=16, grace=1, factor=4) / n / 16 for n in (1, 8, 64, 512)]
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)
    assert (512 * 1 + 128 * 3 + 32 * 12) / 512 / 16 < shares[-1] < 0.19  # below is what the paper's halving takes

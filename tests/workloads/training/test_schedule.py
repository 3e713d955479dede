from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workloads.config import SCHEDULES as NAMES
from workloads.training.schedule import SCHEDULES, one_cycle, step_decay


@pytest.mark.parametrize("name", NAMES)
@given(total=st.integers(1, 500), data=st.data())
def test_the_rate_stays_in_range_rises_to_its_peak_and_then_falls(name: str, total: int, data: st.DataObject) -> None:
    warmup = data.draw(st.integers(0, total // 2 if name == "step" else total - 1))
    if name == "step":  # falls in the middle, whether the peak was reached or not
        warmup = min(warmup, max(0, (total - 1) // 2))
    rates = [SCHEDULES[name](step, warmup, total) for step in range(total)]
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[warmup] == 1
    assert rates[: warmup + 1] == sorted(rates[: warmup + 1])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("step", "warmup", "total"), [(0, 5, 5), (0, -1, 5), (5, 0, 5), (-1, 0, 5)])
def test_a_step_or_warmup_outside_the_run_is_refused(name: str, step: int, warmup: int, total: int) -> None:
    with pytest.raises(ValueError, match="must be at least 0 and below total_steps"):
        SCHEDULES[name](step, warmup, total)


def test_one_cycle_is_torchs() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
    # Torch reaches the peak at pct_start * total - 1.
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1, total_steps=50, pct_start=11 / 50, cycle_momentum=False
    )
    for step in range(50):
        assert one_cycle(step, 10, 50) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that no optimizer step came before
            if step < 49:
                theirs.step()


def test_steps_are_a_tenth_at_half_and_a_hundredth_at_three_quarters() -> None:
    rates = [step_decay(step, 0, 100) for step in (0, 49, 50, 74, 75, 99)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])

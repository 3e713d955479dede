from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.training.schedule import warmup_cosine


@given(total=st.integers(1, 500), data=st.data())
def test_the_rate_stays_in_range_rises_to_its_peak_and_then_falls(total: int, data: st.DataObject) -> None:
    warmup = data.draw(st.integers(0, total - 1))
    rates = [warmup_cosine(step, warmup_steps=warmup, total_steps=total) for step in range(total)]
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[warmup] == 1
    assert rates[: warmup + 1] == sorted(rates[: warmup + 1])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)


@pytest.mark.parametrize(("step", "warmup", "total"), [(0, 5, 5), (0, -1, 5), (5, 0, 5), (-1, 0, 5)])
def test_a_step_or_warmup_outside_the_run_is_refused(step: int, warmup: int, total: int) -> None:
    with pytest.raises(ValueError, match="must be at least 0 and below total_steps"):
        warmup_cosine(step, warmup_steps=warmup, total_steps=total)

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.price import rounded


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.00"), (0.001, "0.001"), (0.00104, "0.00104"), (0.5, "0.50"), (0.1234, "0.123"), (1.005, "1.00"),
     (12.345, "12.35"), (1200, "1200.00"), (1e-7, "0.0000001"), (-0.0042, "-0.0042"), (math.inf, "inf")],
)  # fmt: skip
def test_a_price_has_cents_and_a_small_one_its_digits(value: float, text: str) -> None:
    assert rounded(value) == text


@given(st.floats(min_value=1e-12, max_value=1e9))
def test_no_price_is_shown_as_nothing_or_far_from_what_it_is(value: float) -> None:
    assert float(rounded(value)) == pytest.approx(value, rel=0.006)

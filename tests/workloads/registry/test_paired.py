"""The test behind the gate, against independent arithmetic and against simulated models of known difference."""

from __future__ import annotations

import math
import re
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.registry.paired import CONFIDENCE, CORRECTION, Pairs, holm, score

MARGIN = 0.005
Z = NormalDist().inv_cdf(CONFIDENCE)
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "promotion.md"


def pairs(num_images: int, only_first: int, only_second: int) -> Pairs:
    return Pairs(num_images=num_images, only_first=only_first, only_second=only_second)


def test_pairs_are_counted_by_image():
    first, second = np.array([1, 1, 0, 0, 1], dtype=bool), np.array([1, 0, 1, 0, 0], dtype=bool)
    found = Pairs.of(first, second)
    assert found == pairs(5, 2, 1)
    assert (found.difference, found.disagreement) == (0.2, 0.6)


def test_for_no_difference_the_score_is_mcnemars():
    assert float(score(40, 20, 160, 0)) ** 2 == pytest.approx((40 - 20) ** 2 / 60)
    assert float(score(40, 20, 160, 0, -1)) ** 2 == pytest.approx((40 - 20 - 1) ** 2 / 60)  # as Edwards corrects it


def test_a_single_image_on_which_the_models_differ_counts_and_none_says_nothing():
    assert score([1, 0, 0], [0, 1, 0], 359, 0).tolist() == pytest.approx([1, -1, 0])


@pytest.mark.parametrize("difference", [-0.3, -0.005, 0.1, 0.4])
@pytest.mark.parametrize("counts", [(160, 40, 20), (359, 0, 3), (50, 12, 2), (1000, 7, 0)], ids=str)
def test_the_score_stands_on_the_most_likely_shares_that_have_the_difference(
    counts: tuple[int, int, int], difference: float
):
    n, b, c = counts
    second = np.linspace(max(0.0, -difference), (1 - difference) / 2, 2_000_001)[1:-1]
    with np.errstate(divide="ignore"):
        likelihood = (
            b * np.log(second + difference)
            + (c * np.log(second) if c else 0)
            + (n - b - c) * np.log(1 - 2 * second - difference)
        )
    best = second[np.nanargmax(np.where(second + difference > 0, likelihood, -np.inf))]
    variance = n * (2 * best + difference - difference**2)
    assert float(score(b, c, n, difference)) == pytest.approx((b - c - n * difference) / math.sqrt(variance), rel=1e-3)


COUNTS = st.integers(1, 20_000).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(0, n)).flatmap(
        lambda two: st.tuples(st.just(n), st.just(two[1]), st.integers(0, n - two[1]))
    )
)


@given(COUNTS)
def test_an_interval_holds_the_difference_and_turns_with_the_models(counts: tuple[int, int, int]):
    n, b, c = counts
    lower, upper = pairs(n, b, c).interval()
    assert -1 <= lower <= (b - c) / n <= upper <= 1
    other_lower, other_upper = pairs(n, c, b).interval()
    assert [-other_upper, -other_lower] == pytest.approx([lower, upper], abs=1e-9)


@given(COUNTS)
def test_a_lower_bound_above_the_margin_is_a_score_that_passes(counts: tuple[int, int, int]):
    n, b, c = counts
    passes = float(score(b, c, n, -MARGIN, -CORRECTION)) > Z
    lower, _ = pairs(n, b, c).interval()
    assert (lower > -MARGIN) == passes or lower == pytest.approx(-MARGIN, abs=1e-9)


def test_two_models_that_never_differ_are_told_apart_by_the_number_of_images_alone():
    assert pairs(359, 0, 0).interval()[0] < -MARGIN  # the 1 in 200 that may be lost would often not be among them
    assert pairs(10_000, 0, 0).interval()[0] > -MARGIN


def simulated(disagreement: float, difference: float, num_images: int = 10_000) -> float:
    """Share of 20,000 pairs of models with that true difference of which the gate promotes the first."""
    shares = [(disagreement + difference) / 2, (disagreement - difference) / 2, 1 - disagreement]
    draws = np.random.default_rng(7).multinomial(num_images, shares, size=20_000)
    return float((score(draws[:, 0], draws[:, 1], num_images, -MARGIN, -CORRECTION) > Z).mean())


@pytest.mark.parametrize("num_images", [359, 1000, 10_000])
@pytest.mark.parametrize("disagreement", [0.0051, 0.01, 0.02, 0.05, 0.12, 0.3])
def test_of_models_that_lose_the_whole_margin_at_most_one_in_twenty_is_promoted(disagreement: float, num_images: int):
    assert simulated(disagreement, -MARGIN, num_images) <= 0.05


def test_the_powers_in_the_document_are_those_of_the_gate():
    rows = re.findall(r"^\| (\d+)% \| ([\d.]+)% \| ([\d.]+)% \| ([\d.]+)% \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert len(rows) == 5
    for disagreement, *stated in rows:
        found = [simulated(int(disagreement) / 100, true) for true in (-MARGIN, 0, MARGIN)]
        assert [100 * share for share in found] == pytest.approx([float(one) for one in stated], abs=1)


@pytest.mark.parametrize(("difference", "disagreement"), [(0, 0.05), (0.002, 0.05), (-0.002, 0.03), (0.003, 0.12)])
def test_as_many_images_as_are_asked_for_would_do(difference: float, disagreement: float):
    n = 2000
    b, c = (round(n * (disagreement + sign * difference) / 2) for sign in (1, -1))
    found = pairs(n, b, c)
    needed = found.images_needed(MARGIN)
    assert needed is not None
    assert simulated(found.disagreement, found.difference, needed) == pytest.approx(0.8, abs=0.02)


def test_no_number_of_images_would_do_for_a_model_that_lost_the_margin():
    assert pairs(1000, 10, 15).images_needed(MARGIN) is None


def test_holms_correction_is_that_of_his_paper():
    # p-values 0.01, 0.02, 0.03, 0.04 of a worked example times 4, 3, 2, 1, never falling.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_ten_classes_that_lost_exactly_the_margin_refuse_one_in_twenty_at_most():
    draws = np.random.default_rng(3).multinomial(1000, [0.02, 0.04, 0.94], size=(2000, 10))
    refused = 0
    for ten in draws:
        p_values = [pairs(1000, int(b), int(c)).p_value_of_loss(-0.02) for b, c, _ in ten]
        refused += min(holm(p_values)) < 0.05
    assert refused / len(draws) <= 0.05

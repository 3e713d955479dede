from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp.review.capacity.quantities import amount, quantity, shown

NUMBERS = st.integers(min_value=0, max_value=10**9)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("500m", Fraction(1, 2)),
        ("2Gi", 2 * 2**30),
        ("2G", 2 * 10**9),
        ("1.5Mi", 3 * 2**19),
        (".5", Fraction(1, 2)),
        ("3.", 3),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("12e-1", Fraction(6, 5)),
        ("100n", Fraction(1, 10**7)),
        (2, 2),
        (0.5, Fraction(1, 2)),
    ],
)
def test_a_quantity_is_read_as_kubernetes_reads_it(written, value):
    assert quantity(written) == value


@pytest.mark.parametrize(
    "written", ["2 GB", "2GB", "2gi", "-1", "", "Gi", "1Gi ", "1e", "0x10", None, "[secret]", True]
)
def test_what_is_no_quantity_is_refused_with_the_allowed_form(written):
    with pytest.raises(ValueError, match=r"is not a quantity; write a number, .* such as 500m or 2Gi") as error:
        quantity(written)
    assert repr(written) in str(error.value)


@given(NUMBERS)
def test_a_thousand_thousandths_are_one(number):
    assert quantity(f"{number * 1000}m") == quantity(number) == quantity(f"{number}.0")


@given(NUMBERS, st.sampled_from("KMGTPE"))
def test_a_binary_suffix_is_more_than_its_decimal_one_and_each_step_is_1024(number, letter):
    assert quantity(f"{number}{letter}i") >= quantity(f"{number}{letter.replace('K', 'k')}")
    assert quantity(f"{number * 1024}Ki") == quantity(f"{number}Mi")


@given(NUMBERS, NUMBERS)
def test_more_is_more(first, second):
    assert (quantity(f"{first}Mi") < quantity(f"{second}Mi")) == (first < second)


@given(st.integers(min_value=0, max_value=10**12))
def test_an_amount_is_never_less_than_what_was_asked_for_and_at_most_one_unit_more(nanos):
    asked = quantity(f"{nanos}n")
    assert asked * 1000 <= amount("cpu", f"{nanos}n") < asked * 1000 + 1
    assert asked <= amount("memory", f"{nanos}n") < asked + 1


def test_amounts_are_shown_in_their_units():
    assert [shown("cpu", 1930), shown("memory", 2**31), shown("nvidia.com/gpu", 1)] == ["1930m", "2048Mi", "1"]

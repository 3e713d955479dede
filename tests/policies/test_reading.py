import pytest

from policies.rules.model import UNKNOWN
from policies.rules.reading import at, inside, is_on, listed, number, parsed


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (7, 7),
        (7.5, 7.5),
        ("7", 7),
        ("x", None),
        (True, None),
        (None, None),
        ([], None),
        (UNKNOWN, None),
        (10**400, None),
    ],
)
def test_a_number_is_read_where_there_is_one(value, found):
    assert number(value) == found


def test_what_lies_below_something_unknown_is_unknown_and_below_nothing_is_nothing():
    assert at({"a": {"b": 1}}, "a", "b") == 1
    assert at({"a": UNKNOWN}, "a", "b") is UNKNOWN
    assert at({"a": [1]}, "a", "b") is None


@pytest.mark.parametrize(("value", "found"), [(None, []), (UNKNOWN, []), ("a", ["a"]), (("a", "b"), ["a", "b"])])
def test_a_value_alone_is_a_list_of_one(value, found):
    assert listed(value) == found


@pytest.mark.parametrize(
    ("value", "on"), [(True, True), ("true", True), (UNKNOWN, True), (False, False), (None, False)]
)
def test_a_switch_may_be_spelled_as_text(value, on):
    assert is_on(value) is on


def test_json_within_text_is_looked_into_and_other_text_is_not():
    assert parsed(' {"a": [1]}') == {"a": [1]}
    assert parsed("{a}") is None
    assert parsed("7") is None
    assert parsed("[" * 100_000) is None
    assert list(inside({"a": '{"b": [{"c": 1}]}'}))[1:] == [{"b": [{"c": 1}]}, {"c": 1}]

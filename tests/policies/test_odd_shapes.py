"""Whatever a provider or a preview sends, no rule fails on it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mlp.review.policy.verdict import as_planned
from policies.rules import RULES, PlannedResource
from policies.rules.model import UNKNOWN
from policies.rules.reading import parsed
from tests.builders import planned_with_airflow
from tests.policies.builders import context

Path = tuple[Any, ...]
ODD: tuple[Any, ...] = (
    None,
    UNKNOWN,
    True,
    -1.5,
    "x",
    "*",
    "",
    [],
    {},
    ["x"],
    [None],
    [[]],
    {"x": None},
    {"x": [UNKNOWN]},
    {1: 2},
)


@cache
def positions() -> list[tuple[PlannedResource, Path]]:
    """Every place within the real resources, one of each of Kubernetes' types; documents within text laid open."""
    real = [one for deployment in planned_with_airflow("prod") for one in as_planned(deployment)]
    alike = {one.type if one.type.startswith("kubernetes:") else one.urn: one for one in real}
    opened = [replace(one, properties=laid_open(one.properties)) for one in alike.values()]
    return [(one, path) for one in opened for path in paths(one.properties) if path]


def laid_open(value: Any) -> Any:
    inner = parsed(value) if isinstance(value, str) else None
    match value if inner is None else inner:
        case dict() as mapping:
            return {key: laid_open(item) for key, item in mapping.items()}
        case list() as items:
            return [laid_open(item) for item in items]
        case other:
            return other


def paths(value: Any, above: Path = ()) -> Iterator[Path]:
    yield above
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in entries:
        yield from paths(item, (*above, key))


def put(inside: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    copied = copy.copy(inside)
    copied[path[0]] = put(inside[path[0]], path[1:], value)
    return copied


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.just(UNKNOWN),
    st.sampled_from(["", "*", "0.0.0.0/0", "[secret]", "{", "[]", "true", "latest"]),
    st.text(max_size=5),
)
shapes = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), inner, max_size=3)
    ),
    max_leaves=8,
)
as_text = st.recursive(
    st.one_of(st.none(), st.booleans(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
).map(json.dumps)


def spoken(resource: PlannedResource, **known: Any) -> list[str]:
    """What all rules say of a resource alone."""
    asked = context(secret_values=frozenset({"0123456789"}), **known)
    return [message for rule in RULES for _, message in rule.check([resource], asked)]


def test_no_rule_fails_on_an_odd_value_anywhere_in_the_plan():
    for number, (real, path) in enumerate(positions()):
        odd = replace(real, properties=put(real.properties, path, ODD[number % len(ODD)]))
        assert all(isinstance(message, str) for message in spoken(odd, monthly_usd=1.0))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    place=st.integers(min_value=0),
    value=shapes | as_text,
    usd=st.none() | st.floats(allow_nan=False),
    tags=shapes,
    marked=st.booleans(),
)
def test_no_rule_fails_on_a_value_of_any_shape(place, value, usd, tags, marked):
    real, path = positions()[place * 7919 % len(positions())]  # far apart, whatever is drawn
    odd = replace(real, properties=put(real.properties, path, value), default_tags=tags)
    assert all(isinstance(message, str) for message in spoken(odd, monthly_usd=usd, marks_secrets=marked))


def test_what_is_unknown_is_not_spoken_of():
    kinds = [one for deployment in planned_with_airflow("prod") for one in as_planned(deployment)]
    unknown = [replace(one, properties=dict.fromkeys(one.properties, UNKNOWN), default_tags=UNKNOWN) for one in kinds]
    spoken = {rule.name for rule in RULES for _ in rule.check(unknown, context(marks_secrets=False))}
    assert spoken == {"topics-encrypted"}, "the one without any property"

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlp.recovery.exported import parse
from mlp.shared.errors import PlatformError
from tests.mlp.recovery.builders import export, pending, resource, state

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
PLACES = [
    ("version",),
    ("deployment",),
    ("deployment", "resources"),
    ("deployment", "resources", 2),
    ("deployment", "resources", 2, "urn"),
    ("deployment", "resources", 2, "inputs"),
    ("deployment", "pending_operations"),
    ("deployment", "pending_operations", 0, "resource"),
    ("deployment", "pending_operations", 0, "resource", "type"),
]


def test_a_state_has_resources_and_unfinished_operations():
    read = state([pending("aws:iam/role:Role", "a")], [resource("aws:iam/role:Role", "b", "b-1")])
    assert read.ids("aws:iam/role:Role") == {"b-1"}
    assert [(one.type, one.resource.name) for one in read.operations] == [("creating", "a")]


def test_a_provider_that_was_made_anew_is_told_by_its_id():
    one = resource("aws:iam/role:Role", "b", "b-1")
    read = state([], [one])
    assert read.provider_inputs(read.resources[-1])["region"] == "us-east-1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not the state of a stack"),
        ('{"version": 3}', r"deployment: Field required"),
        ('{"version": 2, "deployment": {}}', "has version 2, and this mlp reads 3 and 4"),
        ('{"version": 3, "deployment": {"resources": [{"urn": "x", "type": "y"}]}}', "deployment.resources.0.urn"),
    ],
)
def test_what_is_not_a_state_is_refused_by_name(text, message):
    with pytest.raises(PlatformError, match=message) as refused:
        parse(text, "state.json")
    assert "state.json" in str(refused.value)


@settings(deadline=None, max_examples=150)
@given(place=st.sampled_from(PLACES), value=JSON)
def test_a_damaged_state_is_read_or_refused_in_words(place, value):
    data = export([pending("aws:iam/role:Role", "a")], [resource("aws:iam/role:Role", "b", "b-1")])
    part = data
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    said = refusal(json.dumps(data))
    assert not said or said.startswith("state.json ")


def refusal(text):
    """What is said against a state; empty where it is read."""
    try:
        parse(text, "state.json")
    except PlatformError as refused:
        return str(refused)
    return ""

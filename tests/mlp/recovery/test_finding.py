"""Every AWS resource of the platform, as if its creation had been interrupted: it is found, by the id of the state."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest

from mlp.engine.cloud import physical_name
from mlp.engine.deployment import Resource
from mlp.engine.types import TYPES
from mlp.engine.types.facts import AwsType
from mlp.engine.values import revealed
from mlp.recovery.answers import FINDERS, Action, Recovery
from mlp.recovery.exported import parse
from tests.mlp.engine.clouds.applied import Applied, applied_stack
from tests.mlp.recovery.builders import Data, export, operation, pending, provider, resource, state

EMULATED = {
    type_ for type_, facts in TYPES.items() if isinstance(facts, AwsType) and not isinstance(facts.emulator, str)
}
NAMES = {"aws:eks/nodeGroup:NodeGroup": "nodeGroupName"}
"""The input that takes the name that the provider chooses, where it is not `name`."""

OWN = {
    *("name", "namePrefix", "bucketPrefix", "identifier", "description", "domainName", "url", "nodeGroupName"),
    *("endpoint", "addonName"),
}
"""Inputs that are a resource's own, not another's id."""
FOUND_BY_OWNER = {
    "aws:ec2/route:Route",
    "aws:ec2/routeTableAssociation:RouteTableAssociation",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
}
"""Types that have neither a name nor tags."""


@pytest.fixture(scope="module", params=["prod", pytest.param("dev", marks=pytest.mark.slow)])
def applied(request: pytest.FixtureRequest) -> Iterator[Applied]:
    with applied_stack(request.param) as stack:
        yield stack


def as_stored(one: Resource) -> Data:
    """The resource as a state has it: its provider has filled in the name that it chose."""
    assert one.created is not None
    inputs = dict(revealed(one.wanted.inputs))
    key = NAMES.get(one.wanted.type, "name")
    chosen = one.created.id.rpartition(":")[2] if key in NAMES.values() else one.created.outputs.get("name")
    if one.wanted.type == "aws:ec2/securityGroup:SecurityGroup":
        chosen = physical_name(one.wanted)
    if chosen and not inputs.get("namePrefix") and not inputs.get(f"{key}Prefix"):
        inputs.setdefault(key, chosen)
    stored = resource(one.wanted.type, one.wanted.name, one.created.id, **inputs)
    return {**stored, "urn": one.wanted.urn}


def begun(stored: Data) -> Data:
    return operation({key: value for key, value in stored.items() if key not in ("id", "outputs")})


def test_every_resource_is_found_by_what_its_operation_says(applied: Applied) -> None:
    everything = [
        as_stored(one)
        for one in applied.deployment.resources.values()
        if one.wanted.type in FINDERS and one.wanted.type in EMULATED
    ]
    given = applied.deployment.of_type("pulumi:providers:aws")[0].wanted.inputs
    found = {}
    for lost in everything:
        data = export([begun(lost)], [one for one in everything if one is not lost])
        data["deployment"]["resources"][1] = provider(tags=json.loads(given["defaultTags"])["tags"])
        [answer] = Recovery(parse(json.dumps(data), "the state"), lambda _region: applied.client, {}).answers()
        found[lost["urn"]] = (answer.action.value, answer.id)
    assert len(found) > 80
    wanted = {
        one["urn"]: (Action.REMOVE.value if one["type"].endswith(":SecurityGroup") else Action.ADOPT.value, one["id"])
        for one in everything
    }
    assert {urn: (found[urn], wanted[urn]) for urn in found if found[urn] != wanted[urn]} == {}


def test_what_nobody_made_is_not_found(applied: Applied) -> None:
    """The same with other names, other tags."""
    odd = []
    for one in applied.deployment.resources.values():
        if one.wanted.type in FINDERS and one.wanted.type in EMULATED and one.wanted.type not in FOUND_BY_OWNER:
            inputs = as_stored(one)["inputs"]
            other = {key: f"{value}-x" for key, value in inputs.items() if key in OWN and isinstance(value, str)}
            lost = pending(one.wanted.type, one.wanted.name, **{**inputs, **other, "tags": {"Name": "nobody's"}})
            [answer] = Recovery(state([lost]), lambda _region: applied.client, {}).answers()
            if answer.action is not Action.FORGET:
                odd.append((one.wanted.urn, answer.action, answer.id))
    assert odd == []


def test_all_pages_of_a_list_are_read(applied: Applied) -> None:
    sns = boto3.client("sns", region_name="us-east-1")
    for number in range(120):
        sns.create_topic(Name=f"page-{number}")
    lost = pending("aws:sns/topic:Topic", name="page-119")
    [answer] = Recovery(state([lost]), lambda _region: applied.client, {}).answers()
    assert answer.id == "arn:aws:sns:us-east-1:123456789012:page-119"

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlp.recovery.answers import Action, Answer, Recovery
from mlp.recovery.corrected import corrected
from mlp.recovery.exported import parse
from tests.mlp.recovery.builders import (
    SECRET,
    STACK,
    Answering,
    NoCloud,
    export,
    faults_of,
    operation,
    pending,
    resource,
    state,
    urn,
)

DATABASE = "aws:rds/instance:Instance"
ROLE = "aws:iam/role:Role"
JOB = "kubernetes:batch/v1:Job"


def after(operations, resources=(), *, action, id_="id-1"):
    before = state(operations, resources)
    answers = [Answer(operation=one, action=action, why="", id=id_) for one in before.operations]
    return corrected(before, answers)


def entries(data, name="it"):
    return [one for one in data["deployment"]["resources"] if one["urn"].endswith(f"::{name}")]


def test_what_aws_made_is_in_the_state_with_its_inputs_for_outputs():
    begun = pending(DATABASE, "it", identifier="d", password=SECRET)
    data = after([begun], action=Action.ADOPT, id_="db-1")
    [entry] = entries(data)
    assert entry["id"] == "db-1"
    assert entry["inputs"] == begun["resource"]["inputs"]
    assert entry["outputs"] == {"identifier": "d", "password": SECRET, "id": "db-1"}
    assert data["deployment"]["pending_operations"] == []


def test_all_else_of_the_state_stays_as_it_is():
    kept = resource(ROLE, "kept", "kept-1", name="kept-1")
    begun = [pending(DATABASE)]
    before = export(begun, [kept])
    data = after(begun, [kept], action=Action.FORGET)
    before["deployment"]["pending_operations"] = []
    assert data == before


@pytest.mark.parametrize("action", [Action.WAIT, Action.ASK, Action.REFRESH])
def test_what_is_open_stays_pending(action):
    begun = pending(DATABASE)
    data = after([begun], action=action)
    assert data["deployment"]["pending_operations"] == [begun]
    assert entries(data) == []


def test_what_is_to_be_deleted_is_in_the_state_unprotected():
    begun = pending(JOB, metadata={"name": "a", "namespace": "b"})
    begun["resource"] |= {"protect": True, "retainOnDelete": True}
    [entry] = entries(after([begun], action=Action.REMOVE, id_="b/a"))
    assert (entry["id"], "protect" in entry, "retainOnDelete" in entry) == ("b/a", False, False)


def test_what_aws_made_stays_protected():
    begun = pending(DATABASE)
    begun["resource"]["protect"] = True
    [entry] = entries(after([begun], action=Action.ADOPT))
    assert entry["protect"] is True


def test_a_leftover_waits_for_its_deletion_behind_the_one_that_took_its_place():
    made = resource(ROLE, "it", "role-2", name="role-2")
    data = after([pending(ROLE, name="role-1")], [made], action=Action.LEFTOVER, id_="role-1")
    assert [(one["id"], one.get("delete", False)) for one in entries(data)] == [("role-2", False), ("role-1", True)]
    assert faults_of(data) == []


def test_what_was_deleted_to_be_made_anew_gives_its_place_to_the_new_one():
    old = resource(DATABASE, "it", "db-1", identifier="d") | {"pendingReplacement": True}
    below = resource(ROLE, "below", "role-1") | {"dependencies": [urn(DATABASE, "it")]}
    data = after([pending(DATABASE, identifier="d")], [old, below], action=Action.ADOPT, id_="db-2")
    assert [one["id"] for one in entries(data)] == ["db-2"]
    assert faults_of(data) == []


def test_an_operation_that_is_listed_twice_is_done_once():
    begun = pending(ROLE, name="a")
    assert len(entries(after([begun, copy.deepcopy(begun)], action=Action.ADOPT))) == 1


def test_a_state_of_a_stack_that_was_never_deployed_has_nothing_to_correct():
    empty = parse('{"version": 3, "deployment": {"manifest": {}}}', "the state")
    assert corrected(empty, [])["deployment"]["pending_operations"] == []


SEEN = (
    pending(ROLE, "role", name="role-1"),
    pending(ROLE, "role", name="role-2"),
    pending("aws:eks/cluster:Cluster", "cluster", name="c"),
    pending("random:index/randomPassword:RandomPassword", "password"),
    pending("kubernetes:helm.sh/v3:Release", "release", name="r", namespace="n"),
    pending("kubernetes:apps/v1:DeploymentPatch", "patch", metadata={"name": "p", "namespace": "n"}),
    pending("aws:mq/broker:Broker", "unknown"),
    operation(resource(DATABASE, "database", "db-1", identifier="d"), "updating"),
    operation(resource(DATABASE, "database", "db-1", identifier="d"), "deleting"),
)


@settings(deadline=None, max_examples=60)
@given(
    begun=st.lists(st.sampled_from(SEEN), max_size=12),
    made=st.booleans(),
    status=st.sampled_from(["CREATING", "ACTIVE", "FAILED", "DELETING"]),
)
def test_pulumi_takes_every_corrected_state_and_nothing_is_lost(begun, made, status):
    cloud = Answering(
        iam={"get_role": {"Role": {"Path": "/"}}},
        eks={"describe_cluster": {"cluster": {"status": status, "tags": {}}}},
    )
    known = [resource(DATABASE, "database", "db-1"), *([resource(ROLE, "role", "role-2")] if made else [])]
    before = state([json.loads(json.dumps(one)) for one in begun], known)
    answers = Recovery(before, lambda _region: cloud, {}).answers()
    data = corrected(before, answers)
    assert faults_of(data) == []
    again = parse(json.dumps(data), "the state")
    there = {(one.urn, one.id) for one in again.resources}
    pending_after = [one.resource.urn for one in again.operations]
    for one in answers:
        if one.action in {Action.ADOPT, Action.REMOVE, Action.LEFTOVER}:
            assert (one.operation.resource.urn, one.id) in there
        elif one.action is not Action.FORGET:
            assert one.operation.resource.urn in pending_after
    assert {(one.urn, one.id) for one in before.resources} <= there


def test_a_second_run_finds_nothing_left_to_do():
    before = state([pending(ROLE, name="role-1"), pending(JOB, "job", metadata={"name": "a", "namespace": "b"})])
    cloud = Answering(iam={"get_role": {"Role": {"Path": "/"}}})
    data = corrected(before, Recovery(before, lambda _region: cloud, {}).answers())
    again = parse(json.dumps(data), "the state")
    assert Recovery(again, lambda _region: NoCloud(), {}).answers() == []


def test_the_parent_and_what_was_needed_stay_known():
    begun = pending(ROLE, name="a")
    [entry] = entries(after([begun], action=Action.ADOPT))
    assert entry["parent"] == STACK
    assert entry["provider"] == begun["resource"]["provider"]

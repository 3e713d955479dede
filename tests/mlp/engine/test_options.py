"""The options that a program gives a resource: each is followed, and so changes a plan, or is refused by name."""

from dataclasses import replace
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import resource_pb2

from mlp.engine.cloud import Registration
from mlp.engine.options import _FOLLOWED, _NOT_OPTIONS, options
from mlp.plan.codec import PlanData, plan_data
from mlp.plan.planned import program_plan
from mlp.shared.errors import PlatformError
from tests.builders import deploy, planned, wanted

BUCKET = "aws:s3/bucket:Bucket"
DEFAULT = Registration(urn="urn", type="type", name="name", parent=None, custom=True)
OPTIONS = (
    "aliases",
    "protect",
    "ignore_changes",
    "replace_on_changes",
    "delete_before_replace",
    "retain_on_delete",
    "deleted_with",
    "custom_timeouts",
)


def registered(**given):
    [one] = wanted(deploy(lambda: aws.s3.Bucket("data", opts=pulumi.ResourceOptions(**given))), BUCKET).values()
    return one


def test_a_registration_has_every_option_of_its_program():
    one = registered(
        protect=True,
        ignore_changes=["tags", "corsRules[*].id"],
        replace_on_changes=["bucket"],
        delete_before_replace=False,
        retain_on_delete=True,
        custom_timeouts=pulumi.CustomTimeouts(create="15m", delete="1h"),
    )
    assert one.protect
    assert one.ignore_changes == ("tags", "corsRules[*].id")
    assert one.replace_on_changes == ("bucket",)
    assert one.delete_before_replace is False
    assert one.retain_on_delete
    assert one.custom_timeouts == {"create": "15m", "delete": "1h"}


def test_without_options_a_registration_has_the_defaults():
    one = registered()
    own = [name for name in OPTIONS if name != "aliases"]  # the SDK gives a bucket one
    assert {name: getattr(one, name) for name in own} == {name: getattr(DEFAULT, name) for name in own}


def test_a_resource_names_what_takes_it_along():
    def declare():
        whole = aws.s3.Bucket("whole")
        aws.s3.BucketVersioning(
            "part",
            bucket=whole.id,
            versioning_configuration={"status": "Enabled"},
            opts=pulumi.ResourceOptions(deleted_with=whole),
        )

    deployed = deploy(declare)
    [part] = wanted(deployed, "aws:s3/bucketVersioning:BucketVersioning").values()
    assert part.deleted_with == wanted(deployed, BUCKET)["whole"].urn


def test_children_are_retained_and_protected_with_their_parent_unless_they_say_otherwise():
    def declare():
        kept = pulumi.ResourceOptions(retain_on_delete=True, protect=True)
        above = pulumi.ComponentResource("test:index:Above", "above", None, kept)
        aws.s3.Bucket("as-above", opts=pulumi.ResourceOptions(parent=above))
        aws.s3.Bucket("other", opts=pulumi.ResourceOptions(parent=above, retain_on_delete=False, protect=False))

    found = wanted(deploy(declare), BUCKET)
    assert {name: (one.retain_on_delete, one.protect) for name, one in found.items()} == {
        "as-above": (True, True),
        "other": (False, False),
    }


def test_an_output_that_the_program_calls_secret_is_one():
    def declare():
        bucket = aws.s3.Bucket("data", opts=pulumi.ResourceOptions(additional_secret_outputs=["arn"]))
        pulumi.export("arn", bucket.arn)
        pulumi.export("name", bucket.bucket)

    outputs = program_plan(deploy(declare)).outputs
    assert outputs["arn"] == "[secret]"
    assert outputs["name"].startswith("data-")


@pytest.mark.parametrize(
    ("given", "name"),
    [({"import_": "bucket-1"}, "import_"), ({"hide_diffs": ["tags"]}, "hide_diffs")],
    ids=["import", "hidden"],
)
def test_an_option_that_plans_do_not_follow_is_refused_by_its_name(given, name):
    with pytest.raises(PlatformError, match=f"{BUCKET} data: a plan does not follow the option {name};"):
        registered(**given)


GIVEN: dict[str, dict[str, Any]] = {
    "protect": {"protect": True},
    "ignoreChanges": {"ignoreChanges": ["tags"]},
    "replaceOnChanges": {"replaceOnChanges": ["tags"]},
    "deleteBeforeReplace": {"deleteBeforeReplace": False, "deleteBeforeReplaceDefined": True},
    "retainOnDelete": {"retainOnDelete": True},
    "deletedWith": {"deletedWith": "urn"},
    "customTimeouts": {"customTimeouts": {"read": "5m"}},
    "importId": {"importId": "bucket-1"},
    "aliasURNs": {"aliasURNs": ["urn"]},
    "hideDiffs": {"hideDiffs": ["tags"]},
    "replace_with": {"replace_with": ["urn"]},
    "replacement_trigger": {"replacement_trigger": struct_pb2.Value(string_value="once more")},
    "transforms": {"transforms": [{"token": "made-in-the-program"}]},
    "state_migrations": {"state_migrations": [{"token": "made-in-the-program"}]},
    "hooks": {"hooks": {"before_create": ["check"]}},
    "envVarMappings": {"envVarMappings": {"AWS_REGION": "REGION"}},
}
"""Something in each field of a registration that holds an option."""
ELSEWHERE = {"aliases", "dependencies", "parent", "provider", "providers", "additionalSecretOutputs"}
"""What is followed, but not by `options`: by the record's other fields, and the answer to the program."""


def request(**given):
    return resource_pb2.RegisterResourceRequest(type=BUCKET, name="data", **given)


def test_every_field_of_a_request_is_known():
    fields = {one.name for one in resource_pb2.RegisterResourceRequest.DESCRIPTOR.fields}
    assert fields == {*GIVEN, *ELSEWHERE, *_NOT_OPTIONS, "deleteBeforeReplaceDefined"}


@pytest.mark.parametrize("name", GIVEN)
def test_whatever_a_request_may_hold_is_followed_or_refused(name):
    if name in _FOLLOWED:
        assert options(request(**GIVEN[name]), None) != options(request(), None)
    else:
        with pytest.raises(PlatformError, match="a plan does not follow the option"):
            options(request(**GIVEN[name]), None)


def in_use():
    """The options that the committed programs use, each with one of the resources that have it."""
    found = {}
    for stack in ("dev", "prod"):
        for deployment in planned(stack):
            for one in deployment.resources.values():
                for name in OPTIONS:
                    if getattr(one.wanted, name) != getattr(DEFAULT, name):
                        found[name] = (deployment, one.wanted.urn)
    return found


def test_every_option_that_the_programs_use_changes_their_plan_and_is_read_back_from_it():
    used = in_use()
    assert set(used) >= {"protect", "ignore_changes", "delete_before_replace", "custom_timeouts"}
    for name, (deployment, urn) in used.items():
        plan = program_plan(deployment)
        without = replace(plan.resources[urn], **{name: getattr(DEFAULT, name)})
        other = replace(plan, resources={**plan.resources, urn: without})
        assert plan_data(plan) != plan_data(other), name
        assert PlanData(**plan_data(plan)).plan(plan.program, plan.stack) == plan, name

"""What the options of a resource make of a change to it, as Pulumi's engine does."""

import pytest

from mlp.review.changes.comparison import changes_sections, comparison
from mlp.review.changes.dangers import dangers
from mlp.review.changes.differences import compare_program
from mlp.shared.errors import PlatformError
from tests.mlp.review.changes.builders import BUCKET, DATABASE, ROLE, VPC, changes_between, paths, plan_of, resource

GROUP = "aws:eks/nodeGroup:NodeGroup"
IGNORED = ("scalingConfig.desiredSize",)


def group(smallest, most=4, **options):
    sizes = {"minSize": smallest, "maxSize": most, "desiredSize": smallest}
    return resource(GROUP, "core", {"scalingConfig": sizes}, **options)


def rendered_text(old, new):
    """The whole report, at a terminal and in a comment."""
    sections = changes_sections(comparison("main", [plan_of(*old)], [plan_of(*new)]))
    return "\n".join(piece for one in sections for piece in one.body)


def messages(old, new):
    return [one.message for one in dangers([compare_program(plan_of(*old), plan_of(*new))])]


def test_what_is_ignored_does_not_change():
    change = changes_between((group(2),), (group(3, ignore_changes=IGNORED),))["changed core"]
    assert paths(change) == {"scalingConfig.minSize": (2, 3)}
    assert change.entry.inputs["scalingConfig"]["desiredSize"] == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [((2, 4), (3, 4)), ((2, 4), (2, 6)), ((2, 4), (0, 450))],
    ids=["smallest", "largest", "both"],
)
def test_a_size_that_eks_receives_is_dangerous_and_the_safe_way_is_named(old, new):
    [message] = messages((group(*old, ignore_changes=IGNORED),), (group(*new, ignore_changes=IGNORED),))
    assert "EKS ends those added since, or refuses a minimum above that number" in message
    assert f"--scaling-config minSize={new[0]},maxSize={new[1]}`" in message
    assert messages((group(*old),), ()) == []


def test_what_names_the_scaling_group_of_a_replaced_node_group_follows_it():
    def both(types):
        nodes = resource(GROUP, "gpu", {"instanceTypes": types}, id_="c:gpu-0123456")
        name = "eks-gpu-0123456-0a1b2c3d"
        tag = resource("aws:autoscaling/tag:Tag", "tag", {"autoscalingGroupName": name}, needs=(nodes,))
        values = {"values": {"autoscalingGroups": [{"name": name}]}}
        return nodes, tag, resource("kubernetes:helm.sh/v3:Release", "autoscaler", values, needs=(nodes,))

    changes = changes_between(both(["g6.xlarge"]), both(["g5.xlarge"]))
    assert set(changes) == {"replaced gpu", "replaced tag", "changed autoscaler"}
    assert (
        paths(changes["changed autoscaler"])["values.autoscalingGroups[0].name"][1] == "<known after gpu is replaced>"
    )


def test_a_resource_whose_changes_are_all_ignored_stays():
    old, new = (resource(BUCKET, "data", {"tags": {"at": at}}, ignore_changes=("tags.at",)) for at in "ab")
    assert changes_between((old,), (new,)) == {}


def test_what_would_be_replaced_stays_when_that_change_is_ignored():
    old = resource(VPC, "net", {"cidrBlock": "10.0.0.0/16"})
    new = resource(VPC, "net", {"cidrBlock": "10.1.0.0/16"}, ignore_changes=("cidrBlock",))
    assert changes_between((old,), (new,)) == {}


def test_what_is_ignored_no_longer_may_have_any_value():
    change = changes_between((group(2, ignore_changes=IGNORED),), (group(2),))["changed core"]
    assert paths(change) == {"scalingConfig.desiredSize": ("<as it was left: changes of it were ignored>", 2)}


def test_an_ignored_entry_that_is_gone_is_refused_as_pulumi_does():
    old = resource(BUCKET, "data", {"rules": [{"id": "a"}, {"id": "b"}]})
    new = resource(BUCKET, "data", {"rules": [{"id": "a"}]}, ignore_changes=("rules[*].id",))
    with pytest.raises(PlatformError, match=r"data: changes of rules\[\*\]\.id are to be ignored, but"):
        changes_between((old,), (new,))


def test_any_change_at_a_path_may_replace():
    old, new = (
        resource(BUCKET, "data", {"rules": [{"id": one}], "tags": {"a": one}}, replace_on_changes=("rules[*].id",))
        for one in "ab"
    )
    assert changes_between((old,), (new,))["replaced data"].forced_by == ("rules[*].id",)
    other = resource(BUCKET, "data", {"rules": [{"id": "a"}], "tags": {"a": "b"}}, replace_on_changes=("rules[*].id",))
    assert list(changes_between((old,), (other,))) == ["changed data"]


def test_what_refers_to_a_replaced_resource_is_replaced_if_it_wants_that():
    def both(cidr):
        vpc = resource(VPC, "net", {"cidrBlock": cidr}, id_="vpc-0123")
        user = {"tags": {"vpc": "vpc-0123"}}
        return vpc, resource(BUCKET, "data", user, needs=(vpc,), replace_on_changes=("tags.vpc",))

    changes = changes_between(both("10.0.0.0/16"), both("10.1.0.0/16"))
    assert changes["replaced data"].forced_by == ("tags.vpc (net is replaced)",)


def test_the_order_of_a_replacement_is_reported():
    old, new = (resource(DATABASE, "db", {"username": name}, delete_before_replace=True) for name in ("admin", "owner"))
    change = changes_between((old,), (new,))["replaced db"]
    assert change.as_data()["deleted_first"] is True
    assert "it is deleted before the new one is made" in rendered_text((old,), (new,))
    [message] = messages((old,), (new,))
    assert message == "a database is replaced, because of username; it is deleted before the new one is made"


def test_what_is_retained_is_reported_to_stay():
    old = resource(BUCKET, "data", retain_on_delete=True)
    assert changes_between((old,), ())["deleted data"].as_data()["retained"] is True
    assert "stays in the cloud, unmanaged" in rendered_text((old,), ())
    [message] = messages((old,), ())
    assert message == "a bucket with its objects leaves the stack; the object stays in the cloud, unmanaged"
    assert "is deleted" in messages((resource(BUCKET, "data"),), ())[0]


def test_only_the_last_deployment_decides_whether_the_old_one_stays():
    def of(retained, cidr):
        return (resource(VPC, "net", {"cidrBlock": cidr}, retain_on_delete=retained),)

    late = changes_between(of(False, "10.0.0.0/16"), of(True, "10.1.0.0/16"))["replaced net"]
    early = changes_between(of(True, "10.0.0.0/16"), of(False, "10.1.0.0/16"))["replaced net"]
    assert (late.retained, early.retained) == (False, True)


def test_what_goes_with_another_says_with_which():
    whole = resource(BUCKET, "whole")
    assert "goes with whole" in rendered_text((whole, resource(ROLE, "part", deleted_with=whole.urn)), ())

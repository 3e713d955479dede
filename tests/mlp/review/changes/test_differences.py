"""What changes between two plans."""

import base64
import json

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp.plan.planned import program_plan
from mlp.review.changes.differences import compare, compare_program
from mlp.review.changes.structure import ABSENT, differences, structured
from tests.builders import deploy
from tests.mlp.review.changes.builders import (
    BUCKET,
    CLUSTER,
    DATABASE,
    ROLE,
    ROLE_POLICY,
    SUBNET,
    TOP,
    VPC,
    changes_between,
    paths,
    plan_of,
    resource,
)

RELEASE = "kubernetes:helm.sh/v3:Release"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
JOB = "kubernetes:batch/v1:Job"
NAMESPACE = "kubernetes:core/v1:Namespace"


def test_equal_plans_have_no_changes():
    entries = (resource(VPC, "vpc", {"cidrBlock": "10.0.0.0/16"}), resource(BUCKET, "data"))
    assert changes_between(entries, entries) == {}


def test_what_is_new_is_created_and_what_is_gone_is_deleted():
    vpc, bucket, role = resource(VPC, "vpc"), resource(BUCKET, "data"), resource(ROLE, "reader")
    assert set(changes_between((vpc, bucket), (vpc, role))) == {"created reader", "deleted data"}


def test_a_changed_field_is_shown_by_its_path_with_both_values():
    old = resource(DATABASE, "db", {"instanceClass": "db.m7g.large", "tags": {"a.b/c": "1"}, "port": 5432})
    new = resource(DATABASE, "db", {"instanceClass": "db.m7g.xlarge", "tags": {"a.b/c": "2"}, "multiAz": True})
    change = changes_between((old,), (new,))["changed db"]
    assert paths(change) == {
        "instanceClass": ("db.m7g.large", "db.m7g.xlarge"),
        'tags["a.b/c"]': ("1", "2"),
        "port": (5432, ABSENT),
        "multiAz": (ABSENT, True),
    }


def test_a_field_that_the_provider_cannot_change_replaces():
    old = resource(VPC, "vpc", {"cidrBlock": "10.0.0.0/16", "tags": {"a": "1"}})
    new = resource(VPC, "vpc", {"cidrBlock": "10.1.0.0/16", "tags": {"a": "2"}})
    change = changes_between((old,), (new,))["replaced vpc"]
    assert change.forced_by == ("cidrBlock",)
    assert set(paths(change)) == {"cidrBlock", "tags.a"}


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (
            {"launchTemplate": {"id": "lt-1", "version": "1"}},
            {"launchTemplate": {"id": "lt-1", "version": "2"}},
            "changed",
        ),
        (
            {"launchTemplate": {"id": "lt-1", "version": "1"}},
            {"launchTemplate": {"id": "lt-2", "version": "1"}},
            "replaced",
        ),
        ({"launchTemplate": {"id": "lt-1", "version": "1"}}, {}, "replaced"),
        ({"launchTemplate": {"version": "1"}}, {}, "changed"),
        ({"scalingConfig": {"maxSize": 1}}, {"scalingConfig": {"maxSize": 2}}, "changed"),
        ({"instanceTypes": ["a", "b"]}, {"instanceTypes": ["b", "a"]}, "replaced"),
    ],
    ids=["beside", "itself", "with-all-around-it", "without-it", "elsewhere", "in-another-order"],
)
def test_only_a_change_at_or_around_the_forcing_field_replaces(old, new, kind):
    group = "aws:eks/nodeGroup:NodeGroup"
    assert set(changes_between((resource(group, "gpu", old),), (resource(group, "gpu", new),))) == {f"{kind} gpu"}


def test_what_refers_to_a_replaced_resource_by_a_forcing_field_is_replaced_with_it():
    def network(cidr):
        vpc = resource(VPC, "vpc", {"cidrBlock": cidr}, id_="vpc-0a1b")
        subnet = resource(SUBNET, "subnet", {"vpcId": "vpc-0a1b"}, id_="subnet-77", needs=(vpc,))
        association = resource(
            "aws:ec2/routeTableAssociation:RouteTableAssociation", "way", {"subnetId": "subnet-77"}, needs=(subnet,)
        )
        group = resource("aws:rds/subnetGroup:SubnetGroup", "group", {"subnetIds": ["subnet-77"]}, needs=(subnet,))
        other = resource(SUBNET, "other", {"vpcId": "vpc-ffff"}, needs=(vpc,))
        return vpc, subnet, association, group, other

    changes = changes_between(network("10.0.0.0/16"), network("10.1.0.0/16"))
    assert set(changes) == {"replaced vpc", "replaced subnet", "replaced way", "changed group"}
    assert changes["replaced way"].forced_by == ("subnetId (subnet is replaced)",)
    assert changes["replaced way"].follows
    assert not changes["replaced vpc"].follows
    assert paths(changes["changed group"])["subnetIds"] == (["subnet-77"], "<known after subnet is replaced>")


def test_what_keeps_its_name_through_a_replacement_changes_nothing_that_may_stay():
    def cluster(role):
        made = resource(CLUSTER, "cluster", {"name": "prod", "roleArn": role}, id_="prod")
        pool = resource("aws:eks/nodeGroup:NodeGroup", "pool", {"clusterName": "prod"}, needs=(made,))
        alarm = resource(
            "aws:cloudwatch/metricAlarm:MetricAlarm", "alarm", {"dimensions": {"Cluster": "prod"}}, needs=(made,)
        )
        return made, pool, alarm

    assert set(changes_between(cluster("arn:1"), cluster("arn:2"))) == {"replaced cluster", "replaced pool"}


def test_a_replaced_namespace_takes_along_what_is_in_it():
    def within(name):
        namespace = resource(NAMESPACE, "space", {"metadata": {"name": name}}, id_=name)
        inside = {"metadata": {"name": "x", "namespace": name}, "data": {"a": "1"}}
        return namespace, resource(CONFIG_MAP, "inside", inside, needs=(namespace,))

    assert set(changes_between(within("one"), within("two"))) == {"replaced space", "replaced inside"}


def test_another_region_replaces_the_provider_and_all_that_it_made():
    def everything(region):
        provider = resource("pulumi:providers:aws", "aws", {"region": region})
        return provider, resource(BUCKET, "data", provider=provider.urn), resource(ROLE, "role")

    changes = changes_between(everything("us-east-1"), everything("eu-west-1"))
    assert set(changes) == {"replaced aws", "replaced data"}
    assert changes["replaced data"].forced_by == ("provider (aws is replaced)",)


def test_a_provider_that_changes_its_tags_replaces_nothing():
    def everything(tags):
        provider = resource("pulumi:providers:aws", "aws", {"region": "us-east-1", "defaultTags": json.dumps(tags)})
        return provider, resource(BUCKET, "data", provider=provider.urn)

    changes = changes_between(everything({"tags": {"a": "1"}}), everything({"tags": {"a": "2"}}))
    assert paths(changes["changed aws"]) == {"defaultTags.tags.a": ("1", "2")}
    assert len(changes) == 1


def test_another_provider_replaces():
    one, two = (f"urn:pulumi:prod::ml-platform::pulumi:providers:aws::{name}" for name in ("one", "two"))
    changes = changes_between((resource(ROLE, "r", provider=one),), (resource(ROLE, "r", provider=two),))
    assert changes["replaced r"].forced_by == ("provider",)


def test_a_new_cluster_behind_a_secret_kubeconfig_replaces_what_runs_on_it():
    def everything(role):
        cluster = resource(CLUSTER, "cluster", {"name": "prod", "roleArn": role}, id_="prod")
        provider = resource("pulumi:providers:kubernetes", "k8s", {"kubeconfig": "[secret]"}, needs=(cluster,))
        return cluster, provider, resource(NAMESPACE, "space", provider=provider.urn)

    changes = changes_between(everything("arn:1"), everything("arn:2"))
    assert set(changes) == {"replaced cluster", "replaced k8s", "replaced space"}


def test_a_type_whose_fields_are_not_known_may_be_replaced():
    old, new = (resource("newcloud:index:Thing", "thing", {"size": size}) for size in (1, 2))
    assert changes_between((old,), (new,))["changed thing"].perhaps_replaced
    known = [resource(BUCKET, "data", {"forceDestroy": on}) for on in (True, False)]
    assert not changes_between((known[0],), (known[1],))["changed data"].perhaps_replaced


def test_protection_is_a_field_that_replaces_nothing():
    old, new = (resource(BUCKET, "data", protect=on) for on in (True, False))
    assert paths(changes_between((old,), (new,))["changed data"]) == {"protect": (True, False)}


@pytest.mark.parametrize(
    ("type_", "old", "new", "kind"),
    [
        (CONFIG_MAP, {"data": {"a": "1"}}, {"data": {"a": "2"}}, "replaced"),
        (CONFIG_MAP, {"metadata": {"name": "x", "labels": {"a": "1"}}}, {"metadata": {"name": "x"}}, "changed"),
        (JOB, {"spec": {"template": {"a": 1}}}, {"spec": {"template": {"a": 2}}}, "replaced"),
        (JOB, {"spec": {"backoffLimit": 1}}, {"spec": {"backoffLimit": 2}}, "changed"),
        (RELEASE, {"name": "a"}, {"name": "b"}, "replaced"),
        (RELEASE, {"version": "1"}, {"version": "2"}, "changed"),
        ("kubernetes:monitoring.coreos.com/v1:PodMonitor", {"spec": {"a": 1}}, {"spec": {"a": 2}}, "changed"),
        ("random:index/randomPassword:RandomPassword", {"length": 32}, {"length": 40}, "replaced"),
    ],
    ids=["config-map-data", "config-map-label", "job-pod", "job-limit", "release-name", "chart", "custom", "random"],
)
def test_kubernetes_and_random_resources_are_judged_by_their_own_rules(type_, old, new, kind):
    assert set(changes_between((resource(type_, "x", old),), (resource(type_, "x", new),))) == {f"{kind} x"}


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


READ = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::data/*"]}
WRITE = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::data/*"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (policy(READ, WRITE), policy(WRITE, READ)),
        (policy(READ), json.dumps(json.loads(policy(READ)), indent=2, sort_keys=True)),
        (policy(READ), policy(READ | {"Action": ["s3:ListBucket", "s3:GetObject"]})),
        (policy(WRITE), policy(WRITE | {"Action": ["s3:PutObject"]})),
    ],
    ids=["order-of-statements", "order-of-keys-and-spaces", "order-of-actions", "one-or-a-list-of-one"],
)
def test_a_policy_that_says_the_same_has_not_changed(old, new):
    assert (
        changes_between((resource(ROLE_POLICY, "p", {"policy": old}),), (resource(ROLE_POLICY, "p", {"policy": new}),))
        == {}
    )


def test_a_policys_change_is_shown_where_it_is():
    more = READ | {"Action": ["s3:GetObject", "s3:ListBucket", "s3:DeleteObject"]}
    old, new = (resource(ROLE_POLICY, "p", {"policy": policy(one)}) for one in (READ, more))
    assert list(paths(changes_between((old,), (new,))["changed p"])) == ["policy.Statement[0].Action"]


def test_a_text_that_kubernetes_keeps_as_it_is_differs_by_its_spaces_too():
    old, new = (resource(CONFIG_MAP, "c", {"data": {"a": text}}) for text in ('{"a": 1}', '{"a":1}'))
    assert paths(changes_between((old,), (new,))["replaced c"]) == {"data.a": ('{"a": 1}', '{"a":1}')}


def test_a_launch_templates_script_is_compared_as_text():
    scripts = [
        "\n".join(["apiVersion: v1", "kind: NodeConfig", "spec:", f"  maxPods: {pods}", ""]) for pods in (110, 250)
    ]
    encoded = [base64.b64encode(one.encode()).decode() for one in scripts]
    old, new = (resource("aws:ec2/launchTemplate:LaunchTemplate", "t", {"userData": one}) for one in encoded)
    assert paths(changes_between((old,), (new,))["changed t"]) == {"userData": tuple(scripts)}


@pytest.mark.parametrize(
    "encoded",
    [
        base64.b64encode(b"\xff\xfe\n" * 40).decode(),
        base64.b64encode(b"one line of text, and so a key rather than a script " * 2).decode(),
        "ab" * 32 + "c",
    ],
    ids=["no-text", "one-line", "wrong-length"],
)
def test_what_looks_like_base64_and_is_no_script_is_compared_as_it_is(encoded):
    assert structured(encoded) == encoded
    old, new = (resource(CONFIG_MAP, "c", {"data": {"key": one}}) for one in (encoded, "A" + encoded[1:]))
    assert paths(changes_between((old,), (new,))["replaced c"]) == {"data.key": (encoded, "A" + encoded[1:])}


def test_entries_of_a_list_belong_together_by_their_names():
    old = {"values": {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "C", "value": "3"}]}}
    new = {"values": {"env": [{"name": "A", "value": "1"}, {"name": "C", "value": "4"}]}}
    change = changes_between((resource(RELEASE, "r", old),), (resource(RELEASE, "r", new),))["changed r"]
    assert paths(change) == {
        "values.env[name=C].value": ("3", "4"),
        "values.env[name=B]": ({"name": "B", "value": "2"}, ABSENT),
    }


def test_many_fields_below_one_that_forces_are_one_reason():
    old, new = (resource(CONFIG_MAP, "c", {"data": {"a": value, "b": value}}) for value in "12")
    change = changes_between((old,), (new,))["replaced c"]
    assert change.forced_by == ("data",)
    assert list(paths(change)) == ["data.a", "data.b"]


def test_entries_without_names_belong_together_by_their_place():
    old, new = ({"rules": [{"port": port} for port in ports]} for ports in ((1, 2, 3), (1, 3)))
    change = changes_between((resource(RELEASE, "r", old),), (resource(RELEASE, "r", new),))["changed r"]
    assert paths(change) == {"rules[1]": ({"port": 2}, ABSENT)}


def test_a_resource_with_a_new_parent_and_no_alias_is_deleted_and_created():
    old, new = (
        resource(BUCKET, "data"),
        resource(BUCKET, "data", below=f"{TOP}".replace("pulumi:pulumi:Stack", "x:y:Z") + "z"),
    )
    changes = changes_between((old,), (new,))
    assert set(changes) == {"created data", "deleted data"}
    assert all(one.moved for one in changes.values())


def test_a_resource_that_another_replaces_is_no_move():
    changes = changes_between((resource(BUCKET, "data"),), (resource(BUCKET, "results"),))
    assert not any(one.moved for one in changes.values())


def test_an_alias_keeps_a_moved_resource_and_what_refers_to_it():
    was = resource(VPC, "vpc", {"cidrBlock": "10.0.0.0/16"}, id_="vpc-0a1b")
    now = resource(VPC, "network", {"cidrBlock": "10.0.0.0/16"}, id_="vpc-ffff", aliases=(was.urn,))
    old = (was, resource(SUBNET, "subnet", {"vpcId": "vpc-0a1b", "tags": {"a": "1"}}, needs=(was,)))
    new = (now, resource(SUBNET, "subnet", {"vpcId": "vpc-ffff", "tags": {"a": "2"}}, needs=(now,)))
    changes = changes_between(old, new)
    assert paths(changes["changed subnet"]) == {"tags.a": ("1", "2")}
    assert len(changes) == 1


def test_aliases_of_a_program_reach_the_children_of_what_moved():
    def declare(name, opts=None):
        parent = pulumi.ComponentResource("test:index:Store", name, None, opts)
        aws.s3.Bucket(f"{name}-bucket", opts=pulumi.ResourceOptions(parent=parent))

    old = program_plan(deploy(lambda: declare("store")))
    renamed = program_plan(
        deploy(lambda: declare("kept", pulumi.ResourceOptions(aliases=[pulumi.Alias(name="store")])))
    )
    forgotten = program_plan(deploy(lambda: declare("kept")))
    assert compare_program(old, renamed).resources == ()
    assert {one.kind for one in compare_program(old, forgotten).resources} == {"created", "deleted"}


def test_what_a_remote_component_makes_moves_with_it():
    def declare(name, opts=None):
        role = aws.iam.Role("role", assume_role_policy="{}")
        eks.Cluster(
            name,
            skip_default_node_group=True,
            skip_default_security_groups=True,
            service_role=role,
            vpc_id="vpc-1",
            private_subnet_ids=["subnet-1"],
            name="c",
            opts=opts,
        )

    old = program_plan(deploy(lambda: declare("cluster")))
    new = program_plan(deploy(lambda: declare("core", pulumi.ResourceOptions(aliases=[pulumi.Alias(name="cluster")]))))
    changes = compare_program(old, new).resources
    assert not [one.entry.name for one in changes if one.kind != "changed"]
    assert new.of_type(CLUSTER)[0].aliases == (old.of_type(CLUSTER)[0].urn,)


def test_a_program_that_is_new_creates_all_it_has_and_one_that_is_gone_deletes_it():
    platform, workloads = plan_of(resource(VPC, "vpc")), plan_of(resource(ROLE, "r"), program="workloads")
    [_, more] = compare([platform], [platform, workloads])
    assert (more.program, more.counts["created"]) == ("workloads", 1)
    [_, less] = compare([platform, workloads], [platform])
    assert less.counts["deleted"] == 1


def test_outputs_are_compared():
    old, new = (plan_of(outputs={"bucket": name, "same": 1}) for name in ("a", "b"))
    [change] = compare_program(old, new).outputs
    assert (change.path, change.old, change.new) == ("bucket", "a", "b")


def test_another_order_of_named_entries_is_a_difference():
    old, new = ({"initContainers": [{"name": name} for name in names]} for names in ("abc", "acd"))
    same, other = ({"initContainers": [{"name": name} for name in names]} for names in ("abc", "bac"))
    assert {one.path for one in differences(old, new)} == {"initContainers[name=b]", "initContainers[name=d]"}
    assert [(one.path, one.old, one.new) for one in differences(same, other)] == [
        ("initContainers[order]", ["a", "b", "c"], ["b", "a", "c"])
    ]


values = st.recursive(
    st.none() | st.integers(-3, 3) | st.text('ab{["', max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "key", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(values, values)
def test_values_differ_somewhere_unless_they_are_equal(old, new):
    old, new = structured(old), structured(new)
    assert list(differences(old, old)) == []
    assert bool(list(differences(old, new))) == (old != new)

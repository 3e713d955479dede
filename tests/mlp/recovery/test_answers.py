import pytest
from botocore.exceptions import ClientError

from infra.tags import standard_tags
from mlp.engine.types import TYPES
from mlp.recovery.answers import FINDERS, REPEATED, Action, Recovery
from mlp.shared.errors import PlatformError
from tests.builders import planned, planned_with_airflow
from tests.mlp.recovery.builders import SECRET, TAGS, Answering, NoCloud, operation, pending, resource, state

CLUSTER = "aws:eks/cluster:Cluster"
DATABASE = "aws:rds/instance:Instance"
NAT = "aws:ec2/natGateway:NatGateway"
EIP = "aws:ec2/eip:Eip"
RELEASE = "kubernetes:helm.sh/v3:Release"
TAG_LIST = [{"Key": key, "Value": value} for key, value in TAGS.items()]


def answers(operations, resources=(), cloud=None, **ids):
    found = Recovery(state(operations, resources), lambda _region: cloud or NoCloud(), ids).answers()
    return [(one.action, one.id) for one in found]


def only(operations, resources=(), cloud=None, **ids):
    [one] = Recovery(state(operations, resources), lambda _region: cloud or NoCloud(), ids).answers()
    return one


def cluster(status, tags=TAGS):
    return Answering(eks={"describe_cluster": {"cluster": {"name": "c", "status": status, "tags": tags}}})


def database(status):
    one = {"DbiResourceId": "db-ABC", "DBInstanceStatus": status, "TagList": TAG_LIST}
    return Answering(rds={"describe_db_instances": {"DBInstances": [one]}})


def gateways(*found):
    listed = [{"NatGatewayId": id_, "State": status, "Tags": TAG_LIST} for id_, status in found]
    return Answering(ec2={"describe_nat_gateways": {"NatGateways": listed}})


def refusal(code):
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "DescribeCluster")


@pytest.mark.parametrize(
    ("status", "action"),
    [
        ("CREATING", Action.WAIT),
        ("ACTIVE", Action.ADOPT),
        ("UPDATING", Action.ADOPT),
        ("FAILED", Action.REMOVE),
        ("DELETING", Action.WAIT),
    ],
)
def test_a_cluster_is_taken_over_once_it_is_ready(status, action):
    assert answers([pending(CLUSTER, name="c")], cloud=cluster(status)) == [(action, "c")]


@pytest.mark.parametrize(
    ("status", "action"),
    [
        ("creating", Action.WAIT),
        ("backing-up", Action.WAIT),
        ("available", Action.ADOPT),
        ("storage-optimization", Action.ADOPT),
        ("incompatible-network", Action.REMOVE),
        ("deleting", Action.WAIT),
    ],
)
def test_a_database_is_taken_over_by_the_id_of_its_resource_once_it_has_an_address(status, action):
    assert answers([pending(DATABASE, identifier="d")], cloud=database(status)) == [(action, "db-ABC")]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("pending", (Action.WAIT, "nat-1")),
        ("available", (Action.ADOPT, "nat-1")),
        ("failed", (Action.REMOVE, "nat-1")),
        ("deleting", (Action.FORGET, None)),
        ("deleted", (Action.FORGET, None)),
    ],
)
def test_a_nat_gateway_is_not_left_to_cost(status, expected):
    assert answers([pending(NAT, subnetId="s")], cloud=gateways(("nat-1", status))) == [expected]


@pytest.mark.parametrize(
    ("status", "action"),
    [
        ("CREATING", Action.WAIT),
        ("ACTIVE", Action.ADOPT),
        ("DEGRADED", Action.ADOPT),
        ("CREATE_FAILED", Action.REMOVE),
    ],
)
def test_an_addon_is_taken_over_by_cluster_and_name(status, action):
    cloud = Answering(eks={"describe_addon": {"addon": {"status": status, "tags": TAGS}}})
    addon = pending("aws:eks/addon:Addon", clusterName="c", addonName="coredns")
    assert answers([addon], cloud=cloud) == [(action, "c:coredns")]


def test_an_access_entry_is_taken_over_by_cluster_and_principal():
    cloud = Answering(eks={"describe_access_entry": {"accessEntry": {"tags": TAGS}}})
    entry = pending("aws:eks/accessEntry:AccessEntry", clusterName="c", principalArn="arn:aws:iam::1:role/r")
    assert answers([entry], cloud=cloud) == [(Action.ADOPT, "c:arn:aws:iam::1:role/r")]


def test_a_key_that_may_not_be_looked_at_is_another_teams():
    denied = refusal("AccessDeniedException")
    cloud = Answering(kms={"list_keys": {"Keys": [{"KeyId": "k"}]}, "describe_key": denied})
    assert answers([pending("aws:kms/key:Key", description="ours")], cloud=cloud) == [(Action.FORGET, None)]


def test_what_aws_did_not_make_is_made_by_the_next_deployment():
    gone = Answering(eks={"describe_cluster": refusal("ResourceNotFoundException")})
    assert answers([pending(CLUSTER, name="c")], cloud=gone) == [(Action.FORGET, None)]


def test_the_ids_that_the_state_has_are_not_taken_twice():
    made = resource(NAT, "other", "nat-1")
    cloud = gateways(("nat-1", "available"), ("nat-2", "available"))
    assert answers([pending(NAT, subnetId="s")], [made], cloud) == [(Action.ADOPT, "nat-2")]


def test_a_later_deployment_that_made_another_one_leaves_the_first_to_be_deleted():
    made = resource(NAT, "it", "nat-2", subnetId="s")
    cloud = gateways(("nat-1", "available"), ("nat-2", "available"))
    assert answers([pending(NAT, subnetId="s")], [made], cloud) == [(Action.LEFTOVER, "nat-1")]


def test_a_later_deployment_that_went_on_leaves_nothing_to_do():
    made = resource(CLUSTER, "it", "c", name="c")
    assert answers([pending(CLUSTER, name="c")], [made], cluster("ACTIVE")) == [(Action.FORGET, None)]


def test_of_two_unfinished_creations_of_one_resource_one_is_taken_over():
    cloud = Answering(iam={"get_role": {"Role": {"Path": "/"}}})
    twice = [pending("aws:iam/role:Role", name="a"), pending("aws:iam/role:Role", name="b")]
    assert answers(twice, cloud=cloud) == [(Action.ADOPT, "a"), (Action.LEFTOVER, "b")]


def test_an_operation_that_is_listed_twice_has_one_answer():
    assert len(answers([pending(NAT, subnetId="s")] * 2, cloud=gateways())) == 1


def test_several_that_fit_are_named_and_decided_by_the_user():
    cloud = gateways(("nat-1", "available"), ("nat-2", "available"))
    one = only([pending(NAT, subnetId="s")], cloud=cloud)
    assert one.action is Action.ASK
    assert "nat-1, nat-2" in one.why
    assert "--id 'it=ID'" in one.why
    assert answers([pending(NAT, subnetId="s")], cloud=cloud, it="nat-2") == [(Action.ADOPT, "nat-2")]
    assert answers([pending(NAT, subnetId="s")], cloud=cloud, it="") == [(Action.FORGET, None)]


def test_a_thing_without_the_environments_tags_is_not_taken_over_unasked():
    one = only([pending(CLUSTER, name="c")], cloud=cluster("ACTIVE", {**TAGS, "Environment": "prod"}))
    assert one.action is Action.ASK
    assert "another's" in one.why


def test_tags_of_the_resource_tell_it_from_its_siblings():
    tags = [*TAG_LIST, {"Key": "Name", "Value": "b"}]
    listed = [{"AllocationId": "eip-a", "Tags": TAG_LIST}, {"AllocationId": "eip-b", "Tags": tags}]
    cloud = Answering(ec2={"describe_addresses": {"Addresses": listed}})
    assert answers([pending(EIP, domain="vpc", tags={"Name": "b"})], cloud=cloud) == [(Action.ADOPT, "eip-b")]


def test_a_security_group_is_made_again_for_a_new_one_is_open_to_the_outside():
    groups = [{"GroupId": "sg-1", "Tags": TAG_LIST}]
    cloud = Answering(ec2={"describe_security_groups": {"SecurityGroups": groups}})
    found = pending("aws:ec2/securityGroup:SecurityGroup", vpcId="vpc-1", name="it-1")
    assert answers([found], cloud=cloud) == [(Action.REMOVE, "sg-1")]


@pytest.mark.parametrize("kind", ["updating", "deleting", "reading", "importing"])
def test_what_was_changed_or_deleted_is_looked_at_by_the_refresh(kind):
    changed = operation(resource(CLUSTER, "it", "c", name="c"), kind)
    assert answers([changed]) == [(Action.REFRESH, None)]


@pytest.mark.parametrize(
    ("type_", "inputs", "id_"),
    [
        (RELEASE, {"name": "mlflow", "namespace": "mlflow", "values": SECRET}, "mlflow/mlflow"),
        ("kubernetes:core/v1:ConfigMap", {"metadata": {"name": "a", "namespace": "b"}, "data": SECRET}, "b/a"),
        ("kubernetes:batch/v1:Job", {"metadata": {"name": "databases-1", "namespace": "b"}}, "b/databases-1"),
        ("kubernetes:core/v1:Namespace", {"metadata": {"name": "mlflow"}}, "mlflow"),
    ],
)
def test_objects_and_releases_are_made_again(type_, inputs, id_):
    assert answers([pending(type_, **inputs)]) == [(Action.REMOVE, id_)]


def test_a_patch_is_never_removed_for_its_object_is_another_resources():
    patch = pending("kubernetes:apps/v1:DeploymentPatch", metadata={"name": "mlflow", "namespace": "mlflow"})
    assert answers([patch]) == [(Action.FORGET, None)]


def test_an_object_that_a_later_deployment_made_stays():
    metadata = {"name": "a", "namespace": "b"}
    made = resource("kubernetes:core/v1:ConfigMap", "it", "b/a", metadata=metadata)
    assert answers([pending("kubernetes:core/v1:ConfigMap", metadata=metadata)], [made]) == [(Action.FORGET, None)]


def test_an_object_that_was_to_replace_another_is_deleted_by_hand():
    made = resource("kubernetes:batch/v1:Job", "it", "b/old", metadata={"name": "old", "namespace": "b"})
    one = only([pending("kubernetes:batch/v1:Job", metadata={"name": "new", "namespace": "b"})], [made])
    assert one.action is Action.ASK
    assert "`kubectl delete job new --namespace b`" in one.why


def test_an_object_whose_name_is_not_to_be_read_is_asked_for():
    assert answers([pending("kubernetes:core/v1:ConfigMap", metadata=SECRET)]) == [(Action.ASK, None)]


def test_an_unknown_type_is_asked_for_with_the_words_to_say():
    one = only([pending("aws:mq/broker:Broker")])
    assert one.action is Action.ASK
    assert "--id 'it=ID'" in one.why
    assert answers([pending("aws:mq/broker:Broker")], it="b-1") == [(Action.ADOPT, "b-1")]


def test_an_id_for_what_is_not_unfinished_is_refused_with_what_is():
    with pytest.raises(PlatformError, match="--id other: no operation is unfinished on that; unfinished are: it"):
        answers([pending(CLUSTER, name="c")], cloud=cluster("ACTIVE"), other="x")


def test_a_refusal_of_aws_is_one_line_and_nothing_was_done():
    cloud = Answering(eks={"describe_cluster": refusal("AccessDeniedException")})
    with pytest.raises(PlatformError, match="nothing was done: you may not call eks:DescribeCluster"):
        answers([pending(CLUSTER, name="c")], cloud=cloud)


def test_a_state_that_does_not_tell_the_region_is_refused():
    stray = resource(CLUSTER, "it", name="c") | {"provider": "urn:pulumi:dev::p::pulumi:providers:aws::gone::1"}
    with pytest.raises(PlatformError, match="in which region it is"):
        answers([operation(stray)])


def test_every_type_that_a_plan_may_contain_has_an_answer():
    here = {type_ for type_ in TYPES if type_.startswith("aws:")}
    assert here - set(FINDERS) - set(REPEATED) == set()


def test_every_type_of_the_plans_has_an_answer_that_asks_nobody_for_a_way():
    types = {
        one.wanted.type
        for stack in ("dev", "prod")
        for deployment in (*planned(stack), *planned_with_airflow(stack))
        for one in deployment.resources.values()
        if one.wanted.custom
    }
    assert len(types) > 60
    unanswered = []
    for type_ in types - set(FINDERS):
        named = pending(type_, name="n", namespace="s", metadata={"name": "n", "namespace": "s"})
        unanswered += [type_ for action, _ in answers([named]) if action is Action.ASK]
    assert unanswered == []


def test_no_type_has_two_ways():
    assert set(FINDERS) & set(REPEATED) == set()


def test_the_tags_that_are_looked_for_are_those_that_the_program_sets():
    assert standard_tags("dev") == TAGS

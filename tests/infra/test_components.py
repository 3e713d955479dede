"""One test a decision: what each component promises, seen in what it registers."""

import json
from ipaddress import IPv4Network

import pulumi
import pytest

from infra.database import Database, DatabaseArgs
from infra.iam import Allow, policy_document, service_account_trust
from infra.identity import WorkloadIdentity, WorkloadIdentityArgs
from infra.image import content_tag
from infra.network import Network, NetworkArgs
from infra.node_pools import NodePools, NodePoolsArgs
from infra.provider import aws_provider
from infra.registry import ImageRegistry, ImageRegistryArgs
from infra.settings import DatabaseSettings, NodePoolSettings
from infra.storage import ArtifactStore, ArtifactStoreArgs
from stacks.offline.values import Secret
from tests.builders import deploy, inputs_of, wanted

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")


def deploy_network(nat_gateways):
    args = NetworkArgs(cidr=IPv4Network("10.0.0.0/16"), zones=ZONES, nat_gateways=nat_gateways, cluster_name="c")
    return deploy(lambda: Network("network", args))


@pytest.mark.parametrize(("choice", "count"), [("none", 0), ("single", 1), ("per_zone", 3)])
def test_a_network_has_as_many_nat_gateways_as_it_was_told(choice, count):
    assert len(deploy_network(choice).of_type("aws:ec2/natGateway:NatGateway")) == count


def test_private_subnets_leave_through_the_nat_gateway_of_their_zone():
    network = deploy_network("per_zone")
    gateways = {one.wanted.name: one.created.id for one in network.of_type("aws:ec2/natGateway:NatGateway")}
    routes = inputs_of(network, "aws:ec2/route:Route")
    for zone in ZONES:
        assert routes[f"network-private-{zone}-nat"]["natGatewayId"] == gateways[f"network-nat-{zone}"]


def test_no_private_route_table_reaches_the_internet_gateway():
    network = deploy_network("none")
    routes = inputs_of(network, "aws:ec2/route:Route")
    assert list(routes) == ["network-public-internet"]


def test_subnets_carry_the_tags_that_load_balancers_look_for():
    subnets = inputs_of(deploy_network("none"), "aws:ec2/subnet:Subnet")
    assert subnets["network-public-us-east-1a"]["tags"]["kubernetes.io/role/elb"] == "1"
    assert subnets["network-private-us-east-1a"]["tags"]["kubernetes.io/role/internal-elb"] == "1"
    assert all(subnet["tags"]["kubernetes.io/cluster/c"] == "shared" for subnet in subnets.values())


def deploy_store(*, deletable):
    return deploy(lambda: ArtifactStore("artifacts", ArtifactStoreArgs(retention_days=30, deletable=deletable)))


def test_the_artifact_bucket_is_closed_versioned_and_encrypted():
    store = deploy_store(deletable=False)
    [block] = inputs_of(store, "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").values()
    assert block["blockPublicPolicy"]
    assert block["restrictPublicBuckets"]
    [versions] = inputs_of(store, "aws:s3/bucketVersioning:BucketVersioning").values()
    assert versions["versioningConfiguration"] == {"status": "Enabled"}
    assert store.of_type("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")


@pytest.mark.parametrize("deletable", [True, False])
def test_a_bucket_that_may_not_be_deleted_is_protected(deletable):
    [bucket] = wanted(deploy_store(deletable=deletable), "aws:s3/bucket:Bucket").values()
    assert bucket.protect is not deletable
    assert bucket.inputs["forceDestroy"] is deletable


def test_a_store_that_keeps_versions_for_no_day_is_refused():
    with pytest.raises(ValueError, match="retention_days is 0; ArtifactStore keeps a version at least 1 day"):
        ArtifactStoreArgs(retention_days=0, deletable=False)


def deploy_database(**changes):
    args = DatabaseArgs(
        vpc_id="vpc-1",
        subnet_ids=["subnet-1", "subnet-2"],
        client_security_group_id="sg-cluster",
        settings=DatabaseSettings(**changes),
    )

    def declare():
        database = Database("database", args)
        pulumi.export("password", database.password)

    return deploy(declare)


def test_the_database_is_encrypted_private_and_admits_the_cluster_alone():
    database = deploy_database()
    [instance] = inputs_of(database, "aws:rds/instance:Instance").values()
    assert instance["storageEncrypted"]
    assert not instance["publiclyAccessible"]
    [rule] = inputs_of(database, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule").values()
    assert rule["referencedSecurityGroupId"] == "sg-cluster"
    assert (rule["fromPort"], rule["toPort"]) == (5432, 5432)


def test_a_protected_database_leaves_a_snapshot_and_an_unprotected_one_leaves_nothing():
    [kept] = inputs_of(deploy_database(), "aws:rds/instance:Instance").values()
    assert not kept["skipFinalSnapshot"]
    assert kept["finalSnapshotIdentifier"].startswith("database-final-")
    [gone] = inputs_of(deploy_database(deletion_protection=False), "aws:rds/instance:Instance").values()
    assert gone["skipFinalSnapshot"]
    assert "finalSnapshotIdentifier" not in gone


def test_the_databases_password_is_secret_wherever_it_goes():
    database = deploy_database()
    assert isinstance(database.outputs["password"], Secret)
    [instance] = wanted(database, "aws:rds/instance:Instance").values()
    assert isinstance(instance.inputs["password"], Secret)
    [version] = wanted(database, "aws:secretsmanager/secretVersion:SecretVersion").values()
    assert isinstance(version.inputs["secretString"], Secret)


def deploy_pools(**pools):
    args = NodePoolsArgs(cluster_name="c", subnet_ids=["subnet-1"], partition="aws", pools=pools)
    return deploy(lambda: NodePools("nodes", args))


def test_a_gpu_pool_is_tainted_and_boots_the_nvidia_image():
    pool = NodePoolSettings(instance_types=("g6.xlarge",), capacity="spot", min_size=0, max_size=5, gpu=True)
    [group] = inputs_of(deploy_pools(gpu=pool), "aws:eks/nodeGroup:NodeGroup").values()
    assert group["amiType"] == "AL2023_x86_64_NVIDIA"
    assert group["taints"] == [{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}]
    assert group["scalingConfig"] == {"minSize": 0, "maxSize": 5, "desiredSize": 0}


def test_the_autoscaler_owns_the_size_of_a_pool():
    pool = NodePoolSettings(instance_types=("m7i.large",), min_size=2, max_size=4)
    [group] = wanted(deploy_pools(core=pool), "aws:eks/nodeGroup:NodeGroup").values()
    assert group.ignore_changes == ("scalingConfig.desiredSize",)


def test_coredns_waits_for_nodes_to_run_on():
    pool = NodePoolSettings(instance_types=("m7i.large",), min_size=2, max_size=4)
    deployment = deploy_pools(core=pool)
    [group] = wanted(deployment, "aws:eks/nodeGroup:NodeGroup").values()
    [addon] = wanted(deployment, "aws:eks/addon:Addon").values()
    assert group.urn in addon.dependencies


def test_image_tags_never_move_but_for_the_build_cache():
    args = ImageRegistryArgs(environment="dev", images=("training",), deletable=True)
    [repository] = inputs_of(deploy(lambda: ImageRegistry("images", args)), "aws:ecr/repository:Repository").values()
    assert repository["name"] == "ml-platform/dev/training"
    assert repository["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert repository["imageTagMutabilityExclusionFilters"] == [{"filter": "cache*", "filterType": "WILDCARD"}]


def test_a_workloads_role_is_trusted_by_one_service_account_alone():
    args = WorkloadIdentityArgs(
        oidc_provider_arn="arn:aws:iam::1:oidc-provider/issuer",
        oidc_issuer="issuer",
        namespace="serving",
        service_account="server",
        allow=(Allow(actions=("s3:ListBucket",), resources=("arn:aws:s3:::b",)),),
    )
    identity = deploy(lambda: WorkloadIdentity("server", args))
    [role] = inputs_of(identity, "aws:iam/role:Role").values()
    [statement] = json.loads(role["assumeRolePolicy"])["Statement"]
    assert statement["Condition"]["StringEquals"] == {
        "issuer:sub": "system:serviceaccount:serving:server",
        "issuer:aud": "sts.amazonaws.com",
    }
    [policy] = inputs_of(identity, "aws:iam/rolePolicy:RolePolicy").values()
    assert json.loads(policy["policy"])["Statement"] == [
        {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::b"]}
    ]


def test_a_policy_document_resolves_the_arns_it_is_given():
    def declare():
        arn = pulumi.Output.from_input("arn:aws:s3:::b/*")
        pulumi.export("policy", policy_document([Allow(actions=("s3:GetObject",), resources=(arn,))]))

    assert json.loads(deploy(declare).outputs["policy"])["Statement"][0]["Resource"] == ["arn:aws:s3:::b/*"]


def test_trust_names_the_federated_provider():
    document = service_account_trust(provider_arn="arn", issuer="i", namespace="n", service_account="s")
    assert json.loads(document)["Statement"][0]["Principal"] == {"Federated": "arn"}


def provider_inputs(**args):
    deployment = deploy(lambda: aws_provider(region="us-east-1", environment="dev", **args))
    [inputs] = inputs_of(deployment, "pulumi:providers:aws").values()
    return inputs


def test_the_provider_acts_as_the_deploy_role_and_tags_what_it_makes():
    inputs = provider_inputs(deploy_role_arn="arn:aws:iam::123456789012:role/deploy")
    assert json.loads(inputs["assumeRoles"]) == [{"roleArn": "arn:aws:iam::123456789012:role/deploy"}]
    assert json.loads(inputs["defaultTags"])["tags"]["Environment"] == "dev"
    assert "endpoints" not in inputs


def test_with_an_emulator_the_provider_talks_to_nothing_else():
    inputs = provider_inputs(emulator="http://127.0.0.1:4566")
    [endpoints] = json.loads(inputs["endpoints"])
    assert set(endpoints.values()) == {"http://127.0.0.1:4566"}
    assert {"s3", "ec2", "sts"} <= set(endpoints)


def test_an_images_tag_changes_with_content_and_name_and_with_nothing_else(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("1")
    (tmp_path / "lock.txt").write_text("x")
    first = content_tag(tmp_path, ["code", "lock.txt"])
    (tmp_path / "code" / "__pycache__").mkdir()
    (tmp_path / "code" / "__pycache__" / "a.pyc").write_text("compiled")
    assert content_tag(tmp_path, ["code", "lock.txt"]) == first
    (tmp_path / "code" / "a.py").rename(tmp_path / "code" / "b.py")
    renamed = content_tag(tmp_path, ["code", "lock.txt"])
    assert renamed != first
    (tmp_path / "code" / "b.py").write_text("2")
    assert content_tag(tmp_path, ["code", "lock.txt"]) not in {first, renamed}


def test_an_images_missing_source_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is a source of the image and does not exist"):
        content_tag(tmp_path, ["nowhere"])

"""What exists in AWS after each committed stack was applied, asked through boto3, and how it compares with its plan."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

import boto3
import pytest
from moto import mock_aws

from stacks.offline.emulated import HANDLERS, NOT_EMULATED, EmulatedCloud
from stacks.offline.engine import Deployment, Resource, run_program
from stacks.offline.programs import PLATFORM
from stacks.offline.recording import RECORDERS, RecordingCloud
from stacks.offline.values import revealed

REGION = "us-east-1"
ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A stack that was applied."""

    stack: str
    deployment: Deployment

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]  # typed for literal names alone

    def only(self, type_: str, name: str = "") -> Resource:
        [resource] = [one for one in self.deployment.of_type(type_) if name in ("", one.wanted.name)]
        return resource

    def inputs(self, type_: str, name: str = "") -> dict[str, Any]:
        inputs: dict[str, Any] = revealed(self.only(type_, name).wanted.inputs)
        return inputs

    def id(self, type_: str, name: str = "") -> str:
        created = self.only(type_, name).created
        assert created is not None
        return created.id

    @property
    def vpc(self) -> str:
        return self.id("aws:ec2/vpc:Vpc")

    def in_vpc(self, operation: str, answer: str) -> list[dict[str, Any]]:
        filters = [{"Name": "vpc-id", "Values": [self.vpc]}]
        found: list[dict[str, Any]] = getattr(self.client("ec2"), operation)(Filters=filters)[answer]
        return found

    def subnets(self, kind: str) -> list[dict[str, Any]]:
        """The subnets of `kind` in the order of their zones."""
        found = [
            subnet
            for subnet in self.in_vpc("describe_subnets", "Subnets")
            if tags(subnet)["Name"].startswith(f"network-{kind}-")
        ]
        return sorted(found, key=lambda subnet: str(subnet["AvailabilityZone"]))

    def way_out(self, subnet: dict[str, Any]) -> dict[str, Any]:
        """The default route of the one table that is associated with `subnet`."""
        [table] = [
            table
            for table in self.in_vpc("describe_route_tables", "RouteTables")
            if any(one.get("SubnetId") == subnet["SubnetId"] for one in table["Associations"])
        ]
        [route] = [one for one in table["Routes"] if one["DestinationCidrBlock"] == "0.0.0.0/0"]
        return {key: value for key, value in route.items() if key in ("GatewayId", "NatGatewayId")}


def tags(described: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in described["Tags"]}


@pytest.fixture(scope="module", params=["local", "dev", "prod"])
def applied(request: pytest.FixtureRequest, emulator_environment: None) -> Iterator[Applied]:
    with mock_aws():
        yield Applied(stack=request.param, deployment=run_program(PLATFORM, request.param, EmulatedCloud(None)))


@pytest.fixture(scope="module")
def planned(applied: Applied) -> Deployment:
    """The same stack on the recording cloud."""
    return run_program(PLATFORM, applied.stack, RecordingCloud())


def test_the_network_has_a_public_and_a_private_subnet_in_each_zone(applied: Applied) -> None:
    [vpc] = applied.client("ec2").describe_vpcs(VpcIds=[applied.vpc])["Vpcs"]
    public, private = applied.subnets("public"), applied.subnets("private")

    assert vpc["CidrBlock"] == "10.0.0.0/16"
    assert [subnet["AvailabilityZone"] for subnet in public] == ZONES
    assert [subnet["AvailabilityZone"] for subnet in private] == ZONES
    assert [subnet["CidrBlock"] for subnet in private] == ["10.0.0.0/18", "10.0.64.0/18", "10.0.128.0/18"]
    assert [subnet["CidrBlock"] for subnet in public] == ["10.0.192.0/20", "10.0.208.0/20", "10.0.224.0/20"]
    blocks = [IPv4Network(subnet["CidrBlock"]) for subnet in public + private]
    assert all(block.subnet_of(IPv4Network(vpc["CidrBlock"])) for block in blocks)


def test_names_resolve_inside_the_network(applied: Applied) -> None:
    ec2 = applied.client("ec2")
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        answer = ec2.describe_vpc_attribute(VpcId=applied.vpc, Attribute=attribute)
        assert answer[attribute[0].upper() + attribute[1:]]["Value"] is True


def test_private_subnets_leave_through_a_nat_gateway_and_never_through_the_internet_gateway(applied: Applied) -> None:
    gateways = {one["NatGatewayId"]: one for one in applied.in_vpc("describe_nat_gateways", "NatGateways")}
    used = [applied.way_out(subnet) for subnet in applied.subnets("private")]

    assert [set(route) for route in used] == [{"NatGatewayId"}] * 3
    assert {route["NatGatewayId"] for route in used} == set(gateways)
    assert len(gateways) == (3 if applied.stack == "prod" else 1)
    public = {subnet["SubnetId"] for subnet in applied.subnets("public")}
    assert {gateway["SubnetId"] for gateway in gateways.values()} <= public
    assert all(gateway["NatGatewayAddresses"][0]["PublicIp"] for gateway in gateways.values())


def test_public_subnets_leave_through_the_internet_gateway(applied: Applied) -> None:
    gateway = applied.id("aws:ec2/internetGateway:InternetGateway")
    [described] = applied.client("ec2").describe_internet_gateways(InternetGatewayIds=[gateway])["InternetGateways"]

    assert [attached["VpcId"] for attached in described["Attachments"]] == [applied.vpc]
    assert [applied.way_out(subnet) for subnet in applied.subnets("public")] == [{"GatewayId": gateway}] * 3


def test_subnets_carry_the_tags_that_load_balancers_look_for_and_those_of_the_environment(applied: Applied) -> None:
    for kind, role in (("public", "elb"), ("private", "internal-elb")):
        for subnet in applied.subnets(kind):
            assert tags(subnet) == {
                "Name": f"network-{kind}-{subnet['AvailabilityZone']}",
                f"kubernetes.io/role/{role}": "1",
                f"kubernetes.io/cluster/ml-platform-{applied.stack}": "shared",
                "Project": "ml-platform",
                "Environment": applied.stack,
                "ManagedBy": "pulumi",
            }


def test_everything_that_takes_tags_carries_those_of_its_environment(applied: Applied) -> None:
    expected = {"Project": "ml-platform", "Environment": applied.stack, "ManagedBy": "pulumi"}
    ec2, ecr, iam, rds = (applied.client(service) for service in ("ec2", "ecr", "iam", "rds"))

    found = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["Environment"]}])["Tags"]
    kinds = ("vpc", "subnet", "igw", "eipalloc", "nat", "rtb", "sg", "sgr")
    assert {(tag["ResourceId"].split("-")[0], tag["Value"]) for tag in found} == {
        (kind, applied.stack) for kind in kinds
    }
    cluster = applied.client("eks").describe_cluster(name=f"ml-platform-{applied.stack}")["cluster"]
    assert cluster["tags"] == {**expected, "Name": "cluster-eksCluster"}
    [database] = rds.describe_db_instances()["DBInstances"]
    listed = [
        database["TagList"],
        rds.list_tags_for_resource(ResourceName=database["DBSubnetGroup"]["DBSubnetGroupArn"])["TagList"],
        iam.list_open_id_connect_provider_tags(
            OpenIDConnectProviderArn=applied.deployment.outputs["oidc_provider_arn"]
        )["Tags"],
        *(iam.list_role_tags(RoleName=role["RoleName"])["Tags"] for role in iam.list_roles()["Roles"]),
        *(
            ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"]
            for repository in ecr.describe_repositories()["repositories"]
        ),
        *(secret["Tags"] for secret in applied.client("secretsmanager").list_secrets()["SecretList"]),
    ]
    assert [tags({"Tags": one}) for one in listed] == [expected] * len(listed)


def test_the_artifact_bucket_is_private_versioned_and_encrypted(applied: Applied) -> None:
    bucket, s3 = applied.deployment.outputs["artifact_bucket"], applied.client("s3")

    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert block == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    [rule] = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert {tag["Value"] for tag in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]} >= {applied.stack}


def test_replaced_artifacts_expire_after_the_retention_of_the_environment(applied: Applied) -> None:
    rules = applied.client("s3").get_bucket_lifecycle_configuration(
        Bucket=applied.deployment.outputs["artifact_bucket"]
    )["Rules"]

    assert rules == [
        {
            "ID": "replaced-versions",
            "Status": "Enabled",
            "Filter": {},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 90 if applied.stack == "prod" else 7},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        }
    ]


def test_the_database_is_encrypted_private_and_as_safe_as_its_environment_asks(applied: Applied) -> None:
    [database] = applied.client("rds").describe_db_instances()["DBInstances"]
    wanted = applied.inputs("aws:rds/instance:Instance")

    assert database["StorageEncrypted"] is True
    assert database["PubliclyAccessible"] is False
    assert database["MultiAZ"] is (applied.stack == "prod")
    assert database["DeletionProtection"] is (applied.stack == "prod")
    assert database["BackupRetentionPeriod"] == wanted["backupRetentionPeriod"] > 0
    assert (database["Engine"], database["EngineVersion"]) == ("postgres", wanted["engineVersion"])
    assert database["DBInstanceClass"] == wanted["instanceClass"]
    assert (database["StorageType"], database["AllocatedStorage"]) == ("gp3", wanted["allocatedStorage"])
    assert (database["MasterUsername"], database["DBName"]) == ("platform", "mlflow")
    assert database["Endpoint"]["Address"] == applied.deployment.outputs["database_host"]


def test_the_database_stands_in_the_private_subnets(applied: Applied) -> None:
    [database] = applied.client("rds").describe_db_instances()["DBInstances"]

    placed = {subnet["SubnetIdentifier"] for subnet in database["DBSubnetGroup"]["Subnets"]}
    assert placed == {subnet["SubnetId"] for subnet in applied.subnets("private")}


def test_the_database_admits_the_cluster_alone_and_reaches_nothing(applied: Applied) -> None:
    ec2 = applied.client("ec2")
    [database] = applied.client("rds").describe_db_instances()["DBInstances"]
    [group_id] = [one["VpcSecurityGroupId"] for one in database["VpcSecurityGroups"]]
    [group] = ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    cluster = applied.only("aws:eks/cluster:Cluster").created
    assert cluster is not None

    [permission] = group["IpPermissions"]
    assert (permission["IpProtocol"], permission["FromPort"], permission["ToPort"]) == ("tcp", 5432, 5432)
    assert [pair["GroupId"] for pair in permission["UserIdGroupPairs"]] == [
        cluster.outputs["vpcConfig"]["clusterSecurityGroupId"]
    ]
    assert not permission["IpRanges"]
    assert not permission["Ipv6Ranges"]
    assert group["IpPermissionsEgress"] == []
    assert group["VpcId"] == applied.vpc


def test_the_secret_holds_the_login_of_the_database(applied: Applied) -> None:
    arn = applied.deployment.outputs["database_secret_arn"]
    [database] = applied.client("rds").describe_db_instances()["DBInstances"]

    login = json.loads(applied.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])
    assert login == {
        "username": database["MasterUsername"],
        "password": applied.inputs("aws:rds/instance:Instance")["password"],
        "host": database["Endpoint"]["Address"],
        "port": database["Endpoint"]["Port"],
        "dbname": database["DBName"],
    }


def test_the_cluster_runs_the_version_and_shows_the_endpoint_of_its_environment(applied: Applied) -> None:
    cluster = applied.client("eks").describe_cluster(name=f"ml-platform-{applied.stack}")["cluster"]
    network = cluster["resourcesVpcConfig"]

    assert cluster["version"] == applied.inputs("aws:eks/cluster:Cluster")["version"]
    assert network["endpointPrivateAccess"] is True
    assert network["endpointPublicAccess"] is (applied.stack == "dev")
    subnets = applied.subnets("public") + applied.subnets("private")
    assert set(network["subnetIds"]) == {subnet["SubnetId"] for subnet in subnets}
    assert cluster["endpoint"] in revealed(applied.deployment.outputs["kubeconfig"])


def test_node_groups_scale_and_are_bought_as_their_pools_say(applied: Applied) -> None:
    eks, cluster = applied.client("eks"), f"ml-platform-{applied.stack}"
    names = eks.list_nodegroups(clusterName=cluster)["nodegroups"]
    groups = [eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"] for name in names]
    by_pool = {group["labels"]["ml-platform/pool"]: group for group in groups}

    assert set(by_pool) == {"core", "gpu"}
    for pool, group in by_pool.items():
        wanted = applied.inputs("aws:eks/nodeGroup:NodeGroup", f"nodes-{pool}")
        assert group["scalingConfig"] == wanted["scalingConfig"]
        assert group["instanceTypes"] == wanted["instanceTypes"]
        assert group["capacityType"] == wanted["capacityType"]
        assert group["amiType"] == wanted["amiType"]
        assert group["diskSize"] == wanted["diskSize"]
        assert group["subnets"] == [subnet["SubnetId"] for subnet in applied.subnets("private")]
        assert group["tags"]["Environment"] == applied.stack


def test_gpu_nodes_are_spot_start_at_zero_and_keep_other_pods_away(applied: Applied) -> None:
    eks, cluster = applied.client("eks"), f"ml-platform-{applied.stack}"
    [name] = [one for one in eks.list_nodegroups(clusterName=cluster)["nodegroups"] if one.startswith("nodes-gpu-")]
    group = eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]

    assert group["taints"] == [{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}]
    assert (group["scalingConfig"]["minSize"], group["scalingConfig"]["desiredSize"]) == (0, 0)
    assert (group["capacityType"], group["amiType"]) == ("SPOT", "AL2023_x86_64_NVIDIA")


def test_nodes_have_a_role_that_ec2_assumes_with_the_policies_nodes_need(applied: Applied) -> None:
    iam = applied.client("iam")
    role = applied.id("aws:iam/role:Role", "nodes-role")
    [statement] = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]

    assert statement["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert {policy["PolicyName"] for policy in attached} == {
        "AmazonEKSWorkerNodePolicy",
        "AmazonEKS_CNI_Policy",
        "AmazonEC2ContainerRegistryPullOnly",
    }


def test_image_repositories_keep_tags_in_place_scan_pushes_and_expire_images(applied: Applied) -> None:
    ecr = applied.client("ecr")
    repositories = ecr.describe_repositories()["repositories"]

    assert {one["repositoryUri"] for one in repositories} == set(applied.deployment.outputs["repository_urls"].values())
    for repository in repositories:
        assert repository["repositoryName"].startswith(f"ml-platform/{applied.stack}/")
        assert repository["imageScanningConfiguration"]["scanOnPush"] is True
        assert repository["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
        assert repository["imageTagMutabilityExclusionFilters"] == [{"filterType": "WILDCARD", "filter": "cache*"}]
        policy = ecr.get_lifecycle_policy(repositoryName=repository["repositoryName"])["lifecyclePolicyText"]
        assert json.loads(policy)["rules"][0]["action"] == {"type": "expire"}


def test_the_tracking_servers_role_is_for_one_service_account_and_one_bucket(applied: Applied) -> None:
    if applied.stack == "local":
        assert not applied.deployment.outputs["tracking_secret_arn"]
        return  # services run as processes there, under no role
    iam = applied.client("iam")
    role = iam.get_role(RoleName=applied.id("aws:iam/role:Role", "mlflow-identity-role"))["Role"]
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    issuer, provider = (applied.deployment.outputs[key] for key in ("oidc_issuer", "oidc_provider_arn"))

    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider)["Url"] == issuer
    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider)["ClientIDList"] == ["sts.amazonaws.com"]
    assert trust["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert trust["Principal"] == {"Federated": provider}
    assert trust["Condition"] == {
        "StringEquals": {
            f"{issuer}:sub": "system:serviceaccount:mlflow:mlflow",
            f"{issuer}:aud": "sts.amazonaws.com",
        }
    }
    [name] = iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
    grants = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]["Statement"]
    bucket = f"arn:aws:s3:::{applied.deployment.outputs['artifact_bucket']}"
    assert {resource for grant in grants for resource in grant["Resource"]} == {bucket, f"{bucket}/*"}
    assert iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"] == []


def without_none(value: Any) -> Any:
    """The value as it goes over the wire, with secrets opened."""
    match revealed(value):
        case Mapping() as mapping:
            return {key: without_none(item) for key, item in mapping.items() if item is not None}
        case list() as items:
            return [without_none(item) for item in items]
        case plain:
            return plain


def pairs(planned: Any, applied: Any, path: str) -> Iterator[tuple[str, str]]:
    """The texts that stand in the same place of two answers and differ; all else must be equal."""
    if isinstance(planned, Mapping) and isinstance(applied, Mapping):
        assert set(planned) == set(applied), path
        for key in planned:
            yield from pairs(planned[key], applied[key], f"{path}.{key}")
    elif isinstance(planned, list) and isinstance(applied, list):
        assert len(planned) == len(applied), path
        for one, other in zip(planned, applied, strict=True):
            yield from pairs(one, other, path)
    elif isinstance(planned, str) and isinstance(applied, str):
        if planned != applied:
            yield planned, applied
    else:
        assert planned == applied, path


def translation(planned: Deployment, applied: Deployment) -> Callable[[Any], Any]:
    """Turns what the recording cloud computed into what the emulated cloud computed in the same places."""
    table: dict[str, str] = {}
    for urn, resource in planned.resources.items():
        one, other = resource.created, applied.resources[urn].created
        if one is None or other is None:
            assert one is other, urn
            continue
        mine, others = (without_none({"id": made.id, "outputs": made.outputs}) for made in (one, other))
        for name, counterpart in pairs(mine, others, urn):
            for scheme in ("", "https://"):  # IAM calls an issuer by its URL without the scheme
                known = table.setdefault(name.removeprefix(scheme), counterpart.removeprefix(scheme))
                assert known == counterpart.removeprefix(scheme), f"{urn}: {name} stands for two things"
    # An ARN may contain an id, so the longest text that fits is the one meant.
    names = re.compile("|".join(re.escape(name) for name in sorted(table, key=len, reverse=True)))

    def translate(value: Any) -> Any:
        match value:
            case str():
                return names.sub(lambda found: table[found.group()], value)
            case Mapping():
                return {key: translate(item) for key, item in value.items()}
            case list():
                return [translate(item) for item in value]
            case _:
                return value

    return translate


def test_both_clouds_see_the_same_resources(applied: Applied, planned: Deployment) -> None:
    assert set(planned.resources) == set(applied.deployment.resources)
    for urn, resource in planned.resources.items():
        one, other = resource.wanted, applied.deployment.resources[urn].wanted
        assert one.type == other.type
        assert set(one.inputs) == set(other.inputs), urn
        assert (one.parent, one.provider, one.dependencies) == (other.parent, other.provider, other.dependencies)
        assert (one.protect, one.ignore_changes) == (other.protect, other.ignore_changes)


def test_both_clouds_see_the_same_inputs_up_to_ids(applied: Applied, planned: Deployment) -> None:
    translate = translation(planned, applied.deployment)

    for urn, resource in planned.resources.items():
        seen = without_none(applied.deployment.resources[urn].wanted.inputs)
        assert translate(without_none(resource.wanted.inputs)) == seen, urn


def test_both_clouds_give_the_same_outputs_up_to_ids(applied: Applied, planned: Deployment) -> None:
    outputs = without_none(planned.outputs)

    assert translation(planned, applied.deployment)(outputs) == without_none(applied.deployment.outputs)
    assert outputs["vpc_id"] != applied.deployment.outputs["vpc_id"]


def test_every_aws_resource_that_is_recorded_is_emulated_or_named_as_not() -> None:
    recorded = {type_ for type_ in RECORDERS if type_.startswith("aws:")}

    assert set(HANDLERS) | set(NOT_EMULATED) == recorded
    assert not set(HANDLERS) & set(NOT_EMULATED)

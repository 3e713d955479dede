"""What the emulated cloud refuses, and how it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from stacks.errors import PlatformError
from stacks.offline.cloud import Created, Place, Registration, UnknownToCloudError
from stacks.offline.emulated import HANDLERS, EmulatedCloud
from stacks.offline.engine import run_program
from stacks.offline.programs import PLATFORM

PLACE = Place(region="us-east-1")
NOBODY = "http://127.0.0.1:9"
"""Nothing listens there."""
VPC, SUBNET = "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet"
# The emulator's models of EC2 and RDS have no shape for a few of the faults that both raise.
pytestmark = pytest.mark.filterwarnings("ignore:.*does not match an error shape in service model:UserWarning")


def create(cloud: EmulatedCloud, type_: str, name: str = "thing", place: Place = PLACE, **inputs: Any) -> Created:
    urn = f"urn:pulumi:test::project::{type_}::{name}"
    wanted = Registration(urn=urn, type=type_, name=name, parent=None, custom=True, inputs=inputs)
    return cloud.create(wanted, inputs, place)


def test_an_unknown_type_is_named(cloud: EmulatedCloud) -> None:
    with pytest.raises(UnknownToCloudError, match="aws:sqs/queue:Queue is not known to the emulated cloud"):
        create(cloud, "aws:sqs/queue:Queue")


@pytest.mark.parametrize("type_", sorted(HANDLERS))
def test_an_unknown_input_is_named_before_anything_is_asked_of_aws(type_: str) -> None:
    with pytest.raises(PlatformError, match=f"{type_} thing: input surprise is not known"):
        create(EmulatedCloud(NOBODY), type_, surprise=True)


def test_an_unknown_input_is_named_by_its_path() -> None:
    rules = [{"id": "old", "status": "Enabled", "filter": {"and": {"prefix": "a"}}}]
    type_ = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"

    with pytest.raises(PlatformError, match=r"input rules\.filter\.and is not known"):
        create(EmulatedCloud(NOBODY), type_, bucket="b", rules=rules)


def test_an_input_that_a_handler_leaves_over_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HANDLERS, VPC, lambda request: Created(id=request.take("cidrBlock")))

    with pytest.raises(PlatformError, match=f"{VPC} thing: input forgotten is not known"):
        create(EmulatedCloud(NOBODY), VPC, cidrBlock="10.0.0.0/16", forgotten=1)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://ec2.us-east-1.amazonaws.com",
        "http://10.0.0.1:4566",
        "http://127.0.0.1.example.com:4566",
        "http://127.0.0.1@example.com:4566",
        "http://0.0.0.0:4566",
        "https://127.0.0.1:4566",
        "127.0.0.1:4566",
        "http://[::1",
    ],
)
def test_an_endpoint_on_another_machine_is_refused(endpoint: str) -> None:
    with pytest.raises(PlatformError, match="is not on this machine; use a loopback address"):
        EmulatedCloud(endpoint)


def test_a_fault_of_aws_names_the_resource_and_says_what_aws_said(cloud: EmulatedCloud) -> None:
    vpc = create(cloud, VPC, cidrBlock="10.0.0.0/16").id
    create(cloud, SUBNET, "first", vpcId=vpc, cidrBlock="10.0.0.0/24")

    with pytest.raises(
        PlatformError, match=rf"^{SUBNET} second was refused .*InvalidSubnet\.Conflict: .*10\.0\.0\.0/24"
    ):
        create(cloud, SUBNET, "second", vpcId=vpc, cidrBlock="10.0.0.0/24")


def test_a_cluster_in_a_subnet_that_does_not_exist_is_refused_and_not_made(cloud: EmulatedCloud) -> None:
    role = "arn:aws:iam::123456789012:role/cluster"

    with pytest.raises(PlatformError, match=r"aws:eks/cluster:Cluster thing .*subnet-0"):
        create(cloud, "aws:eks/cluster:Cluster", roleArn=role, vpcConfig={"subnetIds": ["subnet-0"]})
    assert boto3.client("eks", region_name="us-east-1").list_clusters()["clusters"] == []


def test_what_boto3_itself_refuses_names_the_resource(cloud: EmulatedCloud) -> None:
    with pytest.raises(PlatformError, match=f"{SUBNET} thing was refused .*VpcId"):
        create(cloud, SUBNET, cidrBlock="10.0.0.0/24")


def test_an_emulator_that_does_not_answer_is_named() -> None:
    with pytest.raises(PlatformError, match=rf"{VPC} thing could not be created: .*{NOBODY} does not answer"):
        create(EmulatedCloud(NOBODY), VPC, cidrBlock="10.0.0.0/16")


def test_a_program_ends_with_the_one_fault_of_its_resource() -> None:
    with mock_aws(), pytest.raises(PlatformError) as fault:
        run_program(PLATFORM, "local", EmulatedCloud(None))

    assert str(fault.value).startswith("aws:iam/rolePolicyAttachment:RolePolicyAttachment ")
    assert "start the emulator with MOTO_IAM_LOAD_MANAGED_POLICIES=true" in str(fault.value)


def test_a_policy_of_the_account_that_does_not_exist_is_a_plain_fault(cloud: EmulatedCloud) -> None:
    role = create(cloud, "aws:iam/role:Role", assumeRolePolicy='{"Version": "2012-10-17", "Statement": []}').id
    policy = "arn:aws:iam::123456789012:policy/missing"

    with pytest.raises(PlatformError, match=r"RolePolicyAttachment thing was refused .*NoSuchEntity"):
        create(cloud, "aws:iam/rolePolicyAttachment:RolePolicyAttachment", role=role, policyArn=policy)


def test_a_role_that_does_not_exist_is_a_plain_fault(cloud: EmulatedCloud) -> None:
    with pytest.raises(PlatformError, match=r"RolePolicy thing was refused .*NoSuchEntity"):
        create(cloud, "aws:iam/rolePolicy:RolePolicy", role="missing", policy="{}")


def test_addons_are_recorded_because_the_emulator_still_has_none(cloud: EmulatedCloud) -> None:
    assert create(cloud, "aws:eks/addon:Addon", clusterName="c", addonName="coredns").id == "c:coredns"
    with pytest.raises(ClientError, match="Not yet implemented"):
        boto3.client("eks", region_name="us-east-1").create_addon(clusterName="c", addonName="coredns")


def test_a_bucket_lies_in_the_region_of_its_provider_with_its_tags(cloud: EmulatedCloud) -> None:
    bucket = create(cloud, "aws:s3/bucket:Bucket", place=Place(region="eu-west-1"), tags={"Team": "vision"})

    s3 = boto3.client("s3", region_name="eu-west-1")
    assert bucket.outputs["region"] == "eu-west-1"
    assert s3.get_bucket_location(Bucket=bucket.id)["LocationConstraint"] == "eu-west-1"
    assert s3.get_bucket_tagging(Bucket=bucket.id)["TagSet"] == [{"Key": "Team", "Value": "vision"}]


def test_a_public_subnet_gives_its_machines_addresses(cloud: EmulatedCloud) -> None:
    vpc = create(cloud, VPC, cidrBlock="10.0.0.0/16").id
    subnet = create(cloud, SUBNET, vpcId=vpc, cidrBlock="10.0.0.0/24", mapPublicIpOnLaunch=True).id

    [described] = boto3.client("ec2", region_name="us-east-1").describe_subnets(SubnetIds=[subnet])["Subnets"]
    assert described["MapPublicIpOnLaunch"] is True


def test_what_the_user_has_configured_for_aws_is_left_aside(
    server_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("[profile other]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "missing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOBODY)
    monkeypatch.setenv("HTTP_PROXY", NOBODY)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert create(EmulatedCloud(server_url), VPC, cidrBlock="10.0.0.0/16").id.startswith("vpc-")

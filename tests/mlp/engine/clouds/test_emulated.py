"""What the emulated cloud refuses, and how it says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from mlp.engine.cloud import Created, Place, Registration
from mlp.engine.clouds.emulated import EmulatedCloud
from mlp.engine.deployment import run_program
from mlp.engine.programs import PLATFORM
from mlp.engine.types import TYPES, UnknownTypeError
from mlp.engine.types.facts import AwsType
from mlp.shared.errors import PlatformError
from tests.mlp.engine.clouds.applied import make_zone

PLACE = Place(region="us-east-1")
NOBODY = "http://127.0.0.1:9"
"""Nothing listens there."""
EMULATED = sorted(
    type_ for type_, facts in TYPES.items() if isinstance(facts, AwsType) and not isinstance(facts.emulator, str)
)
VPC, SUBNET = "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet"
RECORD, CERTIFICATE = "aws:route53/record:Record", "aws:acm/certificate:Certificate"
# The emulator's models of EC2 and RDS have no shape for a few of the faults that both raise.
pytestmark = pytest.mark.filterwarnings("ignore:.*does not match an error shape in service model:UserWarning")


def create(cloud: EmulatedCloud, type_: str, logical: str = "thing", place: Place = PLACE, **inputs: Any) -> Created:
    urn = f"urn:pulumi:test::project::{type_}::{logical}"
    wanted = Registration(urn=urn, type=type_, name=logical, parent=None, custom=True, inputs=inputs)
    return cloud.create(wanted, inputs, place)


def point_to(cloud: EmulatedCloud, host: str, *, overwrite: bool = False) -> Created:
    """A record by which `a.example.com` is `host`."""
    return create(
        cloud,
        RECORD,
        zoneId="Z0123456789",
        name="a.example.com.",
        type="CNAME",
        records=[host],
        ttl=300,
        allowOverwrite=overwrite,
    )


def test_an_unknown_type_is_named(cloud: EmulatedCloud) -> None:
    with pytest.raises(UnknownTypeError, match="aws:sqs/queue:Queue is no known resource type"):
        create(cloud, "aws:sqs/queue:Queue")


@pytest.mark.parametrize("type_", EMULATED)
def test_an_unknown_input_is_named_before_anything_is_asked_of_aws(type_: str) -> None:
    with pytest.raises(PlatformError, match=f"{type_} thing: input surprise is not known"):
        create(EmulatedCloud(NOBODY), type_, surprise=True)


def test_an_unknown_input_is_named_by_its_path() -> None:
    rules = [{"id": "old", "status": "Enabled", "filter": {"and": {"prefix": "a"}}}]
    type_ = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"

    with pytest.raises(PlatformError, match=r"input rules\.filter\.and is not known"):
        create(EmulatedCloud(NOBODY), type_, bucket="b", rules=rules)


def test_a_rule_of_another_kind_is_named_and_not_left_out() -> None:
    managed = {"managedRuleGroupStatement": {"name": "AWSManagedRulesCommonRuleSet", "vendorName": "AWS"}}

    with pytest.raises(PlatformError, match=r"input rules\.statement\.managedRuleGroupStatement is not known"):
        create(EmulatedCloud(NOBODY), "aws:wafv2/webAcl:WebAcl", rules=[{"name": "managed", "statement": managed}])


def test_an_input_that_a_handler_leaves_over_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = TYPES[VPC]
    assert isinstance(facts, AwsType)
    monkeypatch.setitem(TYPES, VPC, replace(facts, emulator=lambda request: Created(id=request.take("cidrBlock"))))

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


def test_a_node_group_without_a_launch_template_is_refused() -> None:
    with pytest.raises(PlatformError, match=r"aws:eks/nodeGroup:NodeGroup thing: .*launch template is not emulated"):
        create(EmulatedCloud(NOBODY), "aws:eks/nodeGroup:NodeGroup", clusterName="cluster")


def test_a_tag_for_a_scaling_group_that_does_not_exist_is_refused(cloud: EmulatedCloud) -> None:
    tag = {"key": "team", "value": "vision", "propagateAtLaunch": True}

    with pytest.raises(PlatformError, match="aws:autoscaling/tag:Tag thing: there is no auto-scaling group nodes"):
        create(cloud, "aws:autoscaling/tag:Tag", autoscalingGroupName="nodes", tag=tag)


def test_a_flow_log_to_a_bucket_that_does_not_exist_is_refused(cloud: EmulatedCloud) -> None:
    vpc = create(cloud, VPC, cidrBlock="10.0.0.0/16").id

    with pytest.raises(PlatformError, match=r"aws:ec2/flowLog:FlowLog thing was refused .* missing does not exist"):
        create(
            cloud,
            "aws:ec2/flowLog:FlowLog",
            vpcId=vpc,
            trafficType="ALL",
            logDestinationType="s3",
            logDestination="arn:aws:s3:::missing",
        )


def test_rules_of_a_default_security_group_are_refused() -> None:
    rules = [{"protocol": "-1", "self": True, "fromPort": 0, "toPort": 0}]

    with pytest.raises(PlatformError, match="rules of a default security group are not emulated; leave it empty"):
        create(EmulatedCloud(NOBODY), "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", vpcId="vpc-1", ingress=rules)


def test_a_record_of_a_zone_that_does_not_exist_is_refused(cloud: EmulatedCloud) -> None:
    with pytest.raises(PlatformError, match=f"{RECORD} thing was refused .*NoSuchHostedZone"):
        point_to(cloud, "b.example.com")


def test_a_record_takes_the_place_of_another_where_that_is_allowed_alone(cloud: EmulatedCloud) -> None:
    make_zone("example.com", "Z0123456789")
    point_to(cloud, "b.example.com")
    with pytest.raises(PlatformError, match="it already exists"):
        point_to(cloud, "b.example.com")
    record = point_to(cloud, "c.example.com", overwrite=True)

    assert (record.id, record.outputs["fqdn"]) == ("Z0123456789_a.example.com_CNAME", "a.example.com")
    found = boto3.client("route53").list_resource_record_sets(HostedZoneId="Z0123456789")["ResourceRecordSets"]
    [described] = [one for one in found if one["Type"] == "CNAME"]
    assert described["ResourceRecords"] == [{"Value": "c.example.com"}]


def test_a_certificate_tells_of_its_names_in_the_order_they_were_asked_for(cloud: EmulatedCloud) -> None:
    names = ["d.example.com", "a.example.com", "c.example.com", "b.example.com"]
    made = create(cloud, CERTIFICATE, domainName=names[0], subjectAlternativeNames=names[1:], validationMethod="DNS")

    options = made.outputs["domainValidationOptions"]
    assert [option["domainName"] for option in options] == names
    assert all(option["resourceRecordName"].endswith(f"{name}.") for option, name in zip(options, names, strict=True))


def test_a_certificate_without_a_record_for_one_of_its_names_stays_invalid(cloud: EmulatedCloud) -> None:
    names = ["a.example.com", "b.example.com"]
    made = create(cloud, CERTIFICATE, domainName=names[0], subjectAlternativeNames=names[1:], validationMethod="DNS")
    records = [option["resourceRecordName"] for option in made.outputs["domainValidationOptions"]]
    type_ = "aws:acm/certificateValidation:CertificateValidation"

    assert create(cloud, type_, certificateArn=made.id, validationRecordFqdns=records).id == made.id
    with pytest.raises(PlatformError, match=rf"{type_} thing: the DNS records .*\.b\.example\.com are missing"):
        create(cloud, type_, certificateArn=made.id, validationRecordFqdns=records[:1])


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


def test_an_interface_endpoint_stands_in_its_subnets_behind_its_firewall(cloud: EmulatedCloud) -> None:
    vpc = create(cloud, VPC, cidrBlock="10.0.0.0/16").id
    subnet = create(cloud, SUBNET, vpcId=vpc, cidrBlock="10.0.0.0/24").id
    firewall = create(cloud, "aws:ec2/securityGroup:SecurityGroup", vpcId=vpc).id
    endpoint = create(
        cloud,
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        vpcId=vpc,
        serviceName="com.amazonaws.us-east-1.sts",
        vpcEndpointType="Interface",
        privateDnsEnabled=True,
        subnetIds=[subnet],
        securityGroupIds=[firewall],
    ).id

    ec2 = boto3.client("ec2", region_name="us-east-1")
    [described] = ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint])["VpcEndpoints"]
    assert described["VpcEndpointType"] == "Interface"
    assert described["SubnetIds"] == [subnet]
    assert [group["GroupId"] for group in described["Groups"]] == [firewall]
    assert described["PrivateDnsEnabled"] is True


def test_a_topic_tells_its_subscribers(cloud: EmulatedCloud) -> None:
    topic = create(cloud, "aws:sns/topic:Topic", name="alerts").id
    create(cloud, "aws:sns/topicSubscription:TopicSubscription", topic=topic, protocol="email", endpoint="a@b.org")

    [found] = boto3.client("sns", region_name="us-east-1").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (found["Protocol"], found["Endpoint"]) == ("email", "a@b.org")


@pytest.mark.parametrize("rotated", [True, False])
def test_a_key_rotates_if_it_was_asked_to(cloud: EmulatedCloud, rotated: bool) -> None:
    key = create(cloud, "aws:kms/key:Key", enableKeyRotation=rotated).id

    status = boto3.client("kms", region_name="us-east-1").get_key_rotation_status(KeyId=key)
    assert status["KeyRotationEnabled"] is rotated


def test_a_bucket_that_wants_tls_refuses_objects_over_the_emulators_plain_http(cloud: EmulatedCloud) -> None:
    bucket = create(cloud, "aws:s3/bucket:Bucket").id
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.put_object(Bucket=bucket, Key="before", Body=b"")
    tls_alone = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [tls_alone]})
    create(cloud, "aws:s3/bucketPolicy:BucketPolicy", bucket=bucket, policy=policy)

    with pytest.raises(ClientError, match="403"):
        s3.put_object(Bucket=bucket, Key="after", Body=b"")


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

"""EC2: networks, routes and security groups."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from mlp.engine.cloud import Created, Place, Registration, hex_digits, physical_name
from mlp.engine.types.aws import AT_ONCE, LAYOUT_IS_FREE, SMALL_IN_LOGS, forced_by_aws
from mlp.engine.types.facts import AwsType, Duration, Inputs, PriceRule
from mlp.engine.types.recorders import with_ec2_arn, with_id
from mlp.engine.types.request import Fields, Nested, Request, pascal
from mlp.shared.errors import PlatformError

_NATS = "1m25s to 2m04s in seven Terraform logs"

_LAUNCH_TEMPLATE: Fields = {
    **pascal("userData"),
    "blockDeviceMappings": Nested(
        "BlockDeviceMappings",
        {
            **pascal("deviceName"),
            "ebs": Nested(
                "Ebs",
                pascal(
                    "deleteOnTermination", "encrypted", "iops", "kmsKeyId", "throughput", "volumeSize", "volumeType"
                ),
            ),
        },
    ),
    "metadataOptions": Nested(
        "MetadataOptions", pascal("httpEndpoint", "httpPutResponseHopLimit", "httpTokens", "instanceMetadataTags")
    ),
    "tagSpecifications": Nested("TagSpecifications", pascal("resourceType", "tags")),
}


def _record_elastic_ip(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    number = 1 + int(hex_digits(wanted.urn, 8), 16) % 254
    created = with_id("eipalloc")(wanted, inputs, place)
    return Created(id=created.id, outputs={"allocationId": created.id, "publicIp": f"203.0.113.{number}"})


def _record_launch_template(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    """Record a template whose latest version stands for its inputs: each change of them makes another one."""
    version = f"version-{hex_digits(json.dumps(inputs, sort_keys=True, default=str), 8)}"
    id_ = f"lt-{hex_digits(wanted.urn, 17)}"
    arn = place.arn("ec2", f"launch-template/{id_}")
    return Created(id=id_, outputs={"name": physical_name(wanted), "arn": arn, "latestVersion": version})


def _record_default_security_group(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    made = with_ec2_arn("sg", "security-group")(wanted, inputs, place)
    return Created(id=made.id, outputs={**made.outputs, "name": "default"})


def _record_route(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    return Created(id=f"r-{inputs['routeTableId']}{hex_digits(wanted.urn, 10)}")


def _owned(request: Request, kind: str, id_: str, made: Mapping[str, Any]) -> dict[str, Any]:
    """Return ARN and owner of what EC2 describes without an ARN, formed as Pulumi's provider does."""
    owner = made["OwnerId"]
    return {"arn": request.place.arn("ec2", f"{kind}/{id_}", account=owner), "ownerId": owner}


def _make_vpc(request: Request) -> Created:
    switches = {key: request.take(key) for key in ("enableDnsSupport", "enableDnsHostnames")}
    ec2 = request.client("ec2")
    vpc = ec2.create_vpc(
        TagSpecifications=request.tag_specifications("vpc"), **request.arguments(pascal("cidrBlock", "instanceTenancy"))
    )["Vpc"]
    for key, on in switches.items():
        if on is not None:  # AWS changes one attribute a call
            ec2.modify_vpc_attribute(VpcId=vpc["VpcId"], **{key[0].upper() + key[1:]: {"Value": on}})
    return Created(id=vpc["VpcId"], outputs=_owned(request, "vpc", vpc["VpcId"], vpc))


def _make_subnet(request: Request) -> Created:
    public = request.take("mapPublicIpOnLaunch")
    ec2 = request.client("ec2")
    subnet = ec2.create_subnet(
        TagSpecifications=request.tag_specifications("subnet"),
        **request.arguments(pascal("vpcId", "cidrBlock", "availabilityZone")),
    )["Subnet"]
    if public is not None:
        ec2.modify_subnet_attribute(SubnetId=subnet["SubnetId"], MapPublicIpOnLaunch={"Value": public})
    return Created(id=subnet["SubnetId"], outputs={"arn": subnet["SubnetArn"], "ownerId": subnet["OwnerId"]})


def _make_internet_gateway(request: Request) -> Created:
    vpc = request.take("vpcId")
    tags = request.tag_specifications("internet-gateway")
    request.arguments({})
    ec2 = request.client("ec2")
    gateway = ec2.create_internet_gateway(TagSpecifications=tags)["InternetGateway"]
    id_ = gateway["InternetGatewayId"]
    if vpc is not None:
        ec2.attach_internet_gateway(InternetGatewayId=id_, VpcId=vpc)
    return Created(id=id_, outputs=_owned(request, "internet-gateway", id_, gateway))


def _make_elastic_ip(request: Request) -> Created:
    address = request.client("ec2").allocate_address(
        TagSpecifications=request.tag_specifications("elastic-ip"), **request.arguments(pascal("domain"))
    )
    allocation = address["AllocationId"]
    return Created(id=allocation, outputs={"allocationId": allocation, "publicIp": address["PublicIp"]})


def _make_nat_gateway(request: Request) -> Created:
    gateway = request.client("ec2").create_nat_gateway(
        TagSpecifications=request.tag_specifications("natgateway"),
        **request.arguments(pascal("subnetId", "allocationId", "connectivityType")),
    )["NatGateway"]
    return Created(id=gateway["NatGatewayId"])


def _make_route_table(request: Request) -> Created:
    table = request.client("ec2").create_route_table(
        TagSpecifications=request.tag_specifications("route-table"), **request.arguments(pascal("vpcId"))
    )["RouteTable"]
    return Created(id=table["RouteTableId"], outputs=_owned(request, "route-table", table["RouteTableId"], table))


def _make_route(request: Request) -> Created:
    arguments = request.arguments(pascal("routeTableId", "destinationCidrBlock", "gatewayId", "natGatewayId"))
    request.client("ec2").create_route(**arguments)
    # AWS gives a route no id; this is the one that Pulumi's provider makes up.
    number = zlib.crc32(arguments["DestinationCidrBlock"].encode())
    return Created(id=f"r-{arguments['RouteTableId']}{number}")


def _make_route_table_association(request: Request) -> Created:
    association = request.client("ec2").associate_route_table(**request.arguments(pascal("routeTableId", "subnetId")))
    return Created(id=association["AssociationId"])


def _make_vpc_endpoint(request: Request) -> Created:
    endpoint = request.client("ec2").create_vpc_endpoint(
        TagSpecifications=request.tag_specifications("vpc-endpoint"),
        **request.arguments(
            pascal(
                "vpcId",
                "serviceName",
                "vpcEndpointType",
                "routeTableIds",
                "subnetIds",
                "securityGroupIds",
                "privateDnsEnabled",
            )
        ),
    )["VpcEndpoint"]
    id_ = endpoint["VpcEndpointId"]
    return Created(id=id_, outputs=_owned(request, "vpc-endpoint", id_, endpoint))


def _make_flow_log(request: Request) -> Created:
    tags = request.tag_specifications("vpc-flow-log")
    vpc = request.take("vpcId")
    # The emulator takes the options and forgets them.
    options = pascal("fileFormat", "hiveCompatiblePartitions", "perHourPartition")
    arguments = request.arguments(
        {
            **pascal("trafficType", "logDestination", "logDestinationType", "maxAggregationInterval"),
            "destinationOptions": Nested("DestinationOptions", options),
        }
    )
    answer = request.client("ec2").create_flow_logs(
        ResourceIds=[vpc], ResourceType="VPC", TagSpecifications=tags, **arguments
    )
    if failed := answer["Unsuccessful"]:  # AWS answers so for a bucket that does not exist
        fault = failed[0]["Error"]
        raise PlatformError(
            f"{request.wanted.type} {request.wanted.name} was refused by the AWS emulator: {fault['Message']}"
        )
    return Created(id=answer["FlowLogIds"][0])


def _make_launch_template(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    tags = request.tag_specifications("launch-template")
    data = request.arguments(_LAUNCH_TEMPLATE)
    for mapping in data.get("BlockDeviceMappings", []):
        for switch in ("DeleteOnTermination", "Encrypted"):  # text in Pulumi's provider
            if switch in mapping.get("Ebs", {}):
                mapping["Ebs"][switch] = mapping["Ebs"][switch] == "true"
    for specification in data.get("TagSpecifications", []):
        specification["Tags"] = [{"Key": key, "Value": value} for key, value in specification["Tags"].items()]
    # The emulator adds the template's own tags to those of what it starts, under a kind of their own.
    template = request.client("ec2").create_launch_template(
        LaunchTemplateName=name, LaunchTemplateData=data, TagSpecifications=tags
    )["LaunchTemplate"]
    id_ = template["LaunchTemplateId"]
    return Created(
        id=id_,
        outputs={
            "name": template["LaunchTemplateName"],
            "arn": request.place.arn("ec2", f"launch-template/{id_}"),
            "latestVersion": template["LatestVersionNumber"],
        },
    )


def _make_security_group(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    ec2 = request.client("ec2")
    group = ec2.create_security_group(
        GroupName=name,
        Description=request.take("description", "Managed by Pulumi"),
        TagSpecifications=request.tag_specifications("security-group"),
        **request.arguments(pascal("vpcId")),
    )
    id_ = group["GroupId"]
    [made] = ec2.describe_security_groups(GroupIds=[id_])["SecurityGroups"]
    # AWS lets a new group reach everything; Pulumi's provider takes that rule away.
    ec2.revoke_security_group_egress(GroupId=id_, IpPermissions=made["IpPermissionsEgress"])
    return Created(id=id_, outputs={"arn": group["SecurityGroupArn"], "ownerId": made["OwnerId"]})


def _make_default_security_group(request: Request) -> Created:
    """Take over the security group that each VPC has from the start; Pulumi's provider empties it."""
    rules = [rule for key in ("ingress", "egress") for rule in request.take(key, [])]
    tags = request.tag_list()
    vpc = request.arguments(pascal("vpcId"))["VpcId"]
    if rules:
        raise PlatformError(
            f"{request.wanted.type} {request.wanted.name}: rules of a default security group are not emulated; "
            "leave it empty, or add them to mlp/engine/types/ec2.py"
        )
    ec2 = request.client("ec2")
    filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
    [group] = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    id_ = group["GroupId"]
    if group["IpPermissions"]:
        ec2.revoke_security_group_ingress(GroupId=id_, IpPermissions=group["IpPermissions"])
    if group["IpPermissionsEgress"]:
        ec2.revoke_security_group_egress(GroupId=id_, IpPermissions=group["IpPermissionsEgress"])
    if tags:
        ec2.create_tags(Resources=[id_], Tags=tags)
    return Created(id=id_, outputs={"name": "default", **_owned(request, "security-group", id_, group)})


TYPES: Mapping[str, AwsType] = {
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": AwsType(
        replaced_by=forced_by_aws("ec2/vpc_default_security_group", "vpcId"),
        recorder=_record_default_security_group,
        emulator=_make_default_security_group,
        takes=AT_ONCE,
        precious=None,
        price=LAYOUT_IS_FREE,
    ),
    "aws:ec2/eip:Eip": AwsType(
        replaced_by=forced_by_aws(
            "ec2/ec2_eip", "address customerOwnedIpv4Pool domain ipamPoolId networkBorderGroup publicIpv4Pool"
        ),
        recorder=_record_elastic_ip,
        emulator=_make_elastic_ip,
        takes=AT_ONCE,
        precious=None,
        price=PriceRule.ADDRESS,
    ),
    "aws:ec2/flowLog:FlowLog": AwsType(
        replaced_by=forced_by_aws(
            "ec2/vpc_flow_log",
            "deliverCrossAccountRole destinationOptions eniId iamRoleArn logDestination logDestinationType logFormat "
            "maxAggregationInterval subnetId trafficType transitGatewayAttachmentId transitGatewayId vpcId",
        ),
        recorder=with_id("fl"),
        emulator=_make_flow_log,
        takes=AT_ONCE,
        precious=None,
        price=PriceRule.FLOW_LOG,
    ),
    "aws:ec2/internetGateway:InternetGateway": AwsType(
        replaced_by=forced_by_aws("ec2/vpc_internet_gateway", ""),
        recorder=with_ec2_arn("igw", "internet-gateway"),
        emulator=_make_internet_gateway,
        takes=AT_ONCE,
        precious=None,
        price=LAYOUT_IS_FREE,
    ),
    "aws:ec2/launchTemplate:LaunchTemplate": AwsType(
        replaced_by=forced_by_aws("ec2/ec2_launch_template", "name namePrefix"),
        recorder=_record_launch_template,
        emulator=_make_launch_template,
        takes=AT_ONCE,
        precious=None,
        price="a template is free; its disks are counted with the nodes",
    ),
    "aws:ec2/natGateway:NatGateway": AwsType(
        replaced_by=forced_by_aws(
            "ec2/vpc_nat_gateway", "allocationId availabilityMode connectivityType privateIp subnetId vpcId"
        ),
        recorder=with_id("nat"),
        emulator=_make_nat_gateway,
        takes=Duration(120, _NATS),
        precious=None,
        price=PriceRule.NAT_GATEWAY,
    ),
    "aws:ec2/route:Route": AwsType(
        replaced_by=forced_by_aws(
            "ec2/vpc_route", "destinationCidrBlock destinationIpv6CidrBlock destinationPrefixListId routeTableId"
        ),
        recorder=_record_route,
        emulator=_make_route,
        takes=AT_ONCE,
        precious=None,
        price=LAYOUT_IS_FREE,
    ),
    "aws:ec2/routeTable:RouteTable": AwsType(
        replaced_by=forced_by_aws("ec2/vpc_route_table", "vpcId"),
        recorder=with_ec2_arn("rtb", "route-table"),
        emulator=_make_route_table,
        takes=AT_ONCE,
        precious=None,
        price=LAYOUT_IS_FREE,
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": AwsType(
        replaced_by=forced_by_aws("ec2/vpc_route_table_association", "gatewayId subnetId"),
        recorder=with_id("rtbassoc"),
        emulator=_make_route_table_association,
        takes=AT_ONCE,
        precious=None,
        price=LAYOUT_IS_FREE,
    ),
    "aws:ec2/securityGroup:SecurityGroup": AwsType(
        replaced_by=forced_by_aws("ec2/vpc_security_group", "description name namePrefix vpcId"),
        recorder=with_ec2_arn("sg", "security-group"),
        emulator=_make_security_group,
        takes=AT_ONCE,
        precious=None,
        price=LAYOUT_IS_FREE,
    ),
    "aws:ec2/subnet:Subnet": AwsType(
        replaced_by=forced_by_aws(
            "ec2/vpc_subnet",
            "availabilityZone availabilityZoneId cidrBlock ipv4IpamPoolId ipv4NetmaskLength ipv6IpamPoolId ipv6Native "
            "ipv6NetmaskLength outpostArn vpcId",
            perhaps="ipv6CidrBlock",
        ),
        recorder=with_ec2_arn("subnet", "subnet"),
        emulator=_make_subnet,
        takes=Duration(12, SMALL_IN_LOGS),
        precious=None,
        price=LAYOUT_IS_FREE,
    ),
    "aws:ec2/vpc:Vpc": AwsType(
        replaced_by=forced_by_aws("ec2/vpc_", "cidrBlock ipv4IpamPoolId ipv4NetmaskLength", perhaps="instanceTenancy"),
        recorder=with_ec2_arn("vpc", "vpc"),
        emulator=_make_vpc,
        takes=Duration(25, SMALL_IN_LOGS),
        precious="the network that everything is in",
        price=LAYOUT_IS_FREE,
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": AwsType(
        replaced_by=forced_by_aws(
            "ec2/vpc_endpoint",
            "resourceConfigurationArn serviceName serviceNetworkArn serviceRegion vpcEndpointType vpcId",
            perhaps="privateDnsEnabled",
        ),
        recorder=with_ec2_arn("vpce", "vpc-endpoint"),
        emulator=_make_vpc_endpoint,
        takes=Duration(30),
        precious=None,
        price=PriceRule.VPC_ENDPOINT,
    ),
}

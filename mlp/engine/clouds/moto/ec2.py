"""EC2: networks, routes and security groups."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from mlp.engine.cloud import Created, physical_name
from mlp.engine.clouds.moto.request import Fields, Handler, Nested, Request, pascal
from mlp.shared.errors import PlatformError

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


def _tagged(request: Request, kind: str) -> list[dict[str, Any]]:
    tags = request.tag_list()
    return [{"ResourceType": kind, "Tags": tags}] if tags else []


def _owned(request: Request, kind: str, id_: str, made: Mapping[str, Any]) -> dict[str, Any]:
    """ARN and owner of what EC2 describes without an ARN; Pulumi's provider puts it together in this way, too."""
    owner = made["OwnerId"]
    return {"arn": request.place.arn("ec2", f"{kind}/{id_}", account=owner), "ownerId": owner}


def _vpc(request: Request) -> Created:
    switches = {key: request.take(key) for key in ("enableDnsSupport", "enableDnsHostnames")}
    ec2 = request.client("ec2")
    vpc = ec2.create_vpc(
        TagSpecifications=_tagged(request, "vpc"), **request.arguments(pascal("cidrBlock", "instanceTenancy"))
    )["Vpc"]
    for key, on in switches.items():
        if on is not None:  # AWS changes one attribute a call
            ec2.modify_vpc_attribute(VpcId=vpc["VpcId"], **{key[0].upper() + key[1:]: {"Value": on}})
    return Created(id=vpc["VpcId"], outputs=_owned(request, "vpc", vpc["VpcId"], vpc))


def _subnet(request: Request) -> Created:
    public = request.take("mapPublicIpOnLaunch")
    ec2 = request.client("ec2")
    subnet = ec2.create_subnet(
        TagSpecifications=_tagged(request, "subnet"),
        **request.arguments(pascal("vpcId", "cidrBlock", "availabilityZone")),
    )["Subnet"]
    if public is not None:
        ec2.modify_subnet_attribute(SubnetId=subnet["SubnetId"], MapPublicIpOnLaunch={"Value": public})
    return Created(id=subnet["SubnetId"], outputs={"arn": subnet["SubnetArn"], "ownerId": subnet["OwnerId"]})


def _internet_gateway(request: Request) -> Created:
    vpc = request.take("vpcId")
    tags = _tagged(request, "internet-gateway")
    request.arguments({})
    ec2 = request.client("ec2")
    gateway = ec2.create_internet_gateway(TagSpecifications=tags)["InternetGateway"]
    id_ = gateway["InternetGatewayId"]
    if vpc is not None:
        ec2.attach_internet_gateway(InternetGatewayId=id_, VpcId=vpc)
    return Created(id=id_, outputs=_owned(request, "internet-gateway", id_, gateway))


def _elastic_ip(request: Request) -> Created:
    address = request.client("ec2").allocate_address(
        TagSpecifications=_tagged(request, "elastic-ip"), **request.arguments(pascal("domain"))
    )
    allocation = address["AllocationId"]
    return Created(id=allocation, outputs={"allocationId": allocation, "publicIp": address["PublicIp"]})


def _nat_gateway(request: Request) -> Created:
    gateway = request.client("ec2").create_nat_gateway(
        TagSpecifications=_tagged(request, "natgateway"),
        **request.arguments(pascal("subnetId", "allocationId", "connectivityType")),
    )["NatGateway"]
    return Created(id=gateway["NatGatewayId"])


def _route_table(request: Request) -> Created:
    table = request.client("ec2").create_route_table(
        TagSpecifications=_tagged(request, "route-table"), **request.arguments(pascal("vpcId"))
    )["RouteTable"]
    return Created(id=table["RouteTableId"], outputs=_owned(request, "route-table", table["RouteTableId"], table))


def _route(request: Request) -> Created:
    arguments = request.arguments(pascal("routeTableId", "destinationCidrBlock", "gatewayId", "natGatewayId"))
    request.client("ec2").create_route(**arguments)
    # AWS gives a route no id; this is the one that Pulumi's provider makes up.
    number = zlib.crc32(arguments["DestinationCidrBlock"].encode())
    return Created(id=f"r-{arguments['RouteTableId']}{number}")


def _route_table_association(request: Request) -> Created:
    association = request.client("ec2").associate_route_table(**request.arguments(pascal("routeTableId", "subnetId")))
    return Created(id=association["AssociationId"])


def _vpc_endpoint(request: Request) -> Created:
    endpoint = request.client("ec2").create_vpc_endpoint(
        TagSpecifications=_tagged(request, "vpc-endpoint"),
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


def _flow_log(request: Request) -> Created:
    tags = _tagged(request, "vpc-flow-log")
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


def _launch_template(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    tags = _tagged(request, "launch-template")
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


def _security_group(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    ec2 = request.client("ec2")
    group = ec2.create_security_group(
        GroupName=name,
        Description=request.take("description", "Managed by Pulumi"),
        TagSpecifications=_tagged(request, "security-group"),
        **request.arguments(pascal("vpcId")),
    )
    id_ = group["GroupId"]
    [made] = ec2.describe_security_groups(GroupIds=[id_])["SecurityGroups"]
    # AWS lets a new group reach everything; Pulumi's provider takes that rule away.
    ec2.revoke_security_group_egress(GroupId=id_, IpPermissions=made["IpPermissionsEgress"])
    return Created(id=id_, outputs={"arn": group["SecurityGroupArn"], "ownerId": made["OwnerId"]})


def _default_security_group(request: Request) -> Created:
    """The group that each VPC has from the start; Pulumi's provider empties it."""
    rules = [rule for key in ("ingress", "egress") for rule in request.take(key, [])]
    tags = request.tag_list()
    vpc = request.arguments(pascal("vpcId"))["VpcId"]
    if rules:
        raise PlatformError(
            f"{request.wanted.type} {request.wanted.name}: rules of a default security group are not emulated; "
            "leave it empty, or add them to mlp/engine/clouds/moto/ec2.py"
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


def _ingress_rule(request: Request) -> Created:
    return _rule(request, "authorize_security_group_ingress")


def _egress_rule(request: Request) -> Created:
    return _rule(request, "authorize_security_group_egress")


def _rule(request: Request, operation: str) -> Created:
    description = request.take("description")
    sources = {
        "referencedSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
        "cidrIpv4": ("IpRanges", "CidrIp"),
        "cidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
        "prefixListId": ("PrefixListIds", "PrefixListId"),
    }
    permission: dict[str, Any] = {}
    for key, (list_name, field) in sources.items():
        if (source := request.take(key)) is not None:
            permission[list_name] = [{field: source, **({"Description": description} if description else {})}]
    tags = _tagged(request, "security-group-rule")
    arguments = request.arguments({"securityGroupId": "GroupId", **pascal("ipProtocol", "fromPort", "toPort")})
    group = arguments.pop("GroupId")
    made = getattr(request.client("ec2"), operation)(
        GroupId=group, IpPermissions=[{**permission, **arguments}], TagSpecifications=tags
    )
    return Created(id=made["SecurityGroupRules"][0]["SecurityGroupRuleId"])


HANDLERS: dict[str, Handler] = {
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": _default_security_group,
    "aws:ec2/eip:Eip": _elastic_ip,
    "aws:ec2/flowLog:FlowLog": _flow_log,
    "aws:ec2/internetGateway:InternetGateway": _internet_gateway,
    "aws:ec2/launchTemplate:LaunchTemplate": _launch_template,
    "aws:ec2/natGateway:NatGateway": _nat_gateway,
    "aws:ec2/route:Route": _route,
    "aws:ec2/routeTable:RouteTable": _route_table,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _route_table_association,
    "aws:ec2/securityGroup:SecurityGroup": _security_group,
    "aws:ec2/subnet:Subnet": _subnet,
    "aws:ec2/vpc:Vpc": _vpc,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _vpc_endpoint,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _egress_rule,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _ingress_rule,
}

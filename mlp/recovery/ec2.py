"""How things of EC2 are found: by what they were made of, and by their tags."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlp.recovery.found import Finder, Found, Standing, Wanted, listed, standing, tags_of


@dataclass(frozen=True, kw_only=True)
class Described:
    """Finder of what one `describe_...` call lists: filtered by inputs, then by tags."""

    call: str
    answer: str
    id: str
    filters: Mapping[str, str] = field(default_factory=dict)
    """EC2's name of a filter by the input that gives its value."""
    filter_argument: str = "Filters"
    state: Callable[[Mapping[str, Any]], str] = lambda _: ""
    words: Mapping[str, str] = field(default_factory=dict)
    """Arguments of `standing`."""
    gone: tuple[str, ...] = ("deleted", "deleting")
    """States of what no longer counts: EC2 shows it for an hour after its deletion."""

    def __call__(self, wanted: Wanted) -> list[Found]:
        """Return those that have the values and the tags that were wanted."""
        filters = [{"Name": name, "Values": [wanted[key]]} for key, name in self.filters.items() if wanted[key]]
        arguments = {self.filter_argument: filters} if filters else {}
        found = [
            Found(one[self.id], standing(self.state(one), **self.words), tags_of(one), self.state(one))
            for one in listed(wanted.clients("ec2"), self.call, self.answer, **arguments)
            if self.state(one) not in self.gone
        ]
        return [one for one in found if wanted.tags.items() <= (one.tags or {}).items()]


def _route(wanted: Wanted) -> list[Found]:
    """Find a route by its table and destination; AWS gives it no id, and the provider makes one up."""
    table, destination = wanted["routeTableId"], wanted["destinationCidrBlock"]
    filters = [{"Name": "route-table-id", "Values": [table]}]
    tables = listed(wanted.clients("ec2"), "describe_route_tables", "RouteTables", Filters=filters)
    routes = [one for found in tables for one in found["Routes"] if one.get("DestinationCidrBlock") == destination]
    return [Found(f"r-{table}{zlib.crc32(destination.encode())}") for _ in routes[:1]]


def _route_table_association(wanted: Wanted) -> list[Found]:
    filters = [{"Name": "route-table-id", "Values": [wanted["routeTableId"]]}]
    tables = listed(wanted.clients("ec2"), "describe_route_tables", "RouteTables", Filters=filters)
    return [
        Found(one["RouteTableAssociationId"])
        for table in tables
        for one in table.get("Associations") or ()
        if one.get("SubnetId") == wanted["subnetId"]
    ]


def _rule(*, egress: bool) -> Finder:
    def find(wanted: Wanted) -> list[Found]:
        inputs = wanted.resource.inputs
        filters = [{"Name": "group-id", "Values": [wanted["securityGroupId"]]}]
        rules = listed(wanted.clients("ec2"), "describe_security_group_rules", "SecurityGroupRules", Filters=filters)
        return [
            Found(one["SecurityGroupRuleId"])
            for one in rules
            if one["IsEgress"] is egress
            and one["IpProtocol"] == wanted["ipProtocol"]
            and all(one.get(key, -1) == inputs.get(name, -1) for key, name in _PORTS)
            and one.get("CidrIpv4", "") == wanted["cidrIpv4"]
            and one.get("ReferencedGroupInfo", {}).get("GroupId", "") == wanted["referencedSecurityGroupId"]
        ]

    return find


_PORTS = (("FromPort", "fromPort"), ("ToPort", "toPort"))


def _security_group(wanted: Wanted) -> list[Found]:
    """Find a group, and count it as failed: AWS opens a new one to the outside, which the provider undoes at once.

    Whether it came to that is not to be seen, and a group that is made again costs nothing.
    """
    found = Described(
        call="describe_security_groups",
        answer="SecurityGroups",
        id="GroupId",
        filters={"vpcId": "vpc-id", "name": "group-name"},
    )(wanted)
    return [Found(one.id, Standing.FAILED, one.tags, "perhaps still open to the outside") for one in found]


def _vpc_endpoint_state(one: Mapping[str, Any]) -> str:
    return str(one.get("State", "")).lower()


EC2: Mapping[str, Finder] = {
    "aws:ec2/eip:Eip": Described(call="describe_addresses", answer="Addresses", id="AllocationId"),
    "aws:ec2/flowLog:FlowLog": Described(
        call="describe_flow_logs",
        answer="FlowLogs",
        id="FlowLogId",
        filters={"vpcId": "resource-id"},
        filter_argument="Filter",
    ),
    "aws:ec2/internetGateway:InternetGateway": Described(
        call="describe_internet_gateways", answer="InternetGateways", id="InternetGatewayId"
    ),
    "aws:ec2/launchTemplate:LaunchTemplate": Described(
        call="describe_launch_templates",
        answer="LaunchTemplates",
        id="LaunchTemplateId",
        filters={"name": "launch-template-name"},
    ),
    "aws:ec2/natGateway:NatGateway": Described(
        call="describe_nat_gateways",
        answer="NatGateways",
        id="NatGatewayId",
        filters={"subnetId": "subnet-id"},
        filter_argument="Filter",
        state=lambda one: str(one["State"]),
        words={"making": "pending", "failed": "failed"},
    ),
    "aws:ec2/route:Route": _route,
    "aws:ec2/routeTable:RouteTable": Described(
        call="describe_route_tables", answer="RouteTables", id="RouteTableId", filters={"vpcId": "vpc-id"}
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _route_table_association,
    "aws:ec2/securityGroup:SecurityGroup": _security_group,
    "aws:ec2/subnet:Subnet": Described(
        call="describe_subnets",
        answer="Subnets",
        id="SubnetId",
        filters={"vpcId": "vpc-id", "cidrBlock": "cidr-block"},
    ),
    "aws:ec2/vpc:Vpc": Described(
        call="describe_vpcs", answer="Vpcs", id="VpcId", filters={"cidrBlock": "cidr-block-association.cidr-block"}
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Described(
        call="describe_vpc_endpoints",
        answer="VpcEndpoints",
        id="VpcEndpointId",
        filters={"vpcId": "vpc-id", "serviceName": "service-name"},
        state=_vpc_endpoint_state,
        words={"making": "pending pendingacceptance", "failed": "failed rejected expired partial"},
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _rule(egress=True),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _rule(egress=False),
}

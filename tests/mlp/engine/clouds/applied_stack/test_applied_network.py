"""The network of an applied stack, asked through boto3: what can reach what."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

from tests.mlp.engine.clouds.applied import ZONES, Applied, tags

KINDS = ("public", "private", "isolated")


def table_of(applied: Applied, subnet: dict[str, Any]) -> dict[str, Any]:
    """The one route table that is associated with `subnet`."""
    [table] = [
        table
        for table in applied.in_vpc("describe_route_tables", "RouteTables")
        if any(one.get("SubnetId") == subnet["SubnetId"] for one in table["Associations"])
    ]
    return table


def routes(table: dict[str, Any]) -> dict[str, str]:
    """Where a route table leads, by destination; lists of AWS's own addresses are called `aws`."""
    return {
        route.get("DestinationCidrBlock", "aws"): route.get("NatGatewayId") or route["GatewayId"]
        for route in table["Routes"]
    }


def nat_gateways(applied: Applied) -> dict[str, dict[str, Any]]:
    return {one["NatGatewayId"]: one for one in applied.in_vpc("describe_nat_gateways", "NatGateways")}


def test_each_zone_has_a_public_a_private_and_an_isolated_subnet(applied: Applied) -> None:
    [vpc] = applied.client("ec2").describe_vpcs(VpcIds=[applied.vpc])["Vpcs"]
    blocks = {kind: [subnet["CidrBlock"] for subnet in applied.subnets(kind)] for kind in KINDS}

    assert vpc["CidrBlock"] == "10.0.0.0/16"
    assert blocks == {
        "private": ["10.0.0.0/18", "10.0.64.0/18", "10.0.128.0/18"],
        "public": ["10.0.192.0/20", "10.0.208.0/20", "10.0.224.0/20"],
        "isolated": ["10.0.240.0/22", "10.0.244.0/22", "10.0.248.0/22"],
    }
    for kind in KINDS:
        assert [subnet["AvailabilityZone"] for subnet in applied.subnets(kind)] == ZONES
    networks = [IPv4Network(block) for kind in KINDS for block in blocks[kind]]
    assert not any(one.overlaps(other) for one in networks for other in networks if one is not other)
    assert len(applied.in_vpc("describe_subnets", "Subnets")) == len(networks)


def test_no_subnet_gives_its_machines_public_addresses(applied: Applied) -> None:
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in applied.in_vpc("describe_subnets", "Subnets"))


def test_names_resolve_inside_the_network(applied: Applied) -> None:
    ec2 = applied.client("ec2")
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        answer = ec2.describe_vpc_attribute(VpcId=applied.vpc, Attribute=attribute)
        assert answer[attribute[0].upper() + attribute[1:]]["Value"] is True


def test_public_subnets_leave_through_the_internet_gateway(applied: Applied) -> None:
    gateway = applied.id("aws:ec2/internetGateway:InternetGateway")
    [described] = applied.client("ec2").describe_internet_gateways(InternetGatewayIds=[gateway])["InternetGateways"]

    assert [attached["VpcId"] for attached in described["Attachments"]] == [applied.vpc]
    for subnet in applied.subnets("public"):
        assert routes(table_of(applied, subnet))["0.0.0.0/0"] == gateway


def test_private_subnets_leave_through_nat_gateways_and_by_no_other_way(applied: Applied) -> None:
    gateways = nat_gateways(applied)
    endpoint = applied.id("aws:ec2/vpcEndpoint:VpcEndpoint")
    used = []
    for subnet in applied.subnets("private"):
        ways = routes(table_of(applied, subnet))
        assert set(ways) == {"10.0.0.0/16", "0.0.0.0/0", "aws"}
        assert (ways["10.0.0.0/16"], ways["aws"]) == ("local", endpoint)
        used.append(ways["0.0.0.0/0"])

    assert set(used) == set(gateways)
    assert len(gateways) == (3 if applied.stack == "prod" else 1)


def test_nat_gateways_stand_in_public_subnets_of_the_zones_they_serve(applied: Applied) -> None:
    zones = {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in applied.subnets("public")}
    for subnet in applied.subnets("private"):
        gateway = nat_gateways(applied)[routes(table_of(applied, subnet))["0.0.0.0/0"]]
        assert gateway["NatGatewayAddresses"][0]["PublicIp"]
        assert zones[gateway["SubnetId"]] == (subnet["AvailabilityZone"] if applied.stack == "prod" else ZONES[0])


def test_isolated_subnets_have_no_way_out_but_to_s3(applied: Applied) -> None:
    endpoint = applied.id("aws:ec2/vpcEndpoint:VpcEndpoint")
    for subnet in applied.subnets("isolated"):
        assert routes(table_of(applied, subnet)) == {"10.0.0.0/16": "local", "aws": endpoint}


def test_a_subnet_that_is_given_no_table_leads_nowhere(applied: Applied) -> None:
    [main] = [
        table
        for table in applied.in_vpc("describe_route_tables", "RouteTables")
        if any(one["Main"] for one in table["Associations"])
    ]
    assert routes(main) == {"10.0.0.0/16": "local"}


def test_s3_is_reached_from_every_subnet_without_nat(applied: Applied) -> None:
    [endpoint] = applied.in_vpc("describe_vpc_endpoints", "VpcEndpoints")
    tables = {table_of(applied, subnet)["RouteTableId"] for subnet in applied.in_vpc("describe_subnets", "Subnets")}

    assert endpoint["ServiceName"] == "com.amazonaws.us-east-1.s3"
    assert endpoint["VpcEndpointType"] == "Gateway"
    assert set(endpoint["RouteTableIds"]) == tables


def test_the_default_security_group_admits_nothing_and_reaches_nothing(applied: Applied) -> None:
    [group] = [
        one for one in applied.in_vpc("describe_security_groups", "SecurityGroups") if one["GroupName"] == "default"
    ]

    assert (group["IpPermissions"], group["IpPermissionsEgress"]) == ([], [])


def test_production_records_its_traffic_in_the_log_bucket(applied: Applied) -> None:
    recorded = applied.client("ec2").describe_flow_logs()["FlowLogs"]

    assert [(one["ResourceId"], one["TrafficType"], one["LogDestinationType"]) for one in recorded] == (
        [(applied.vpc, "ALL", "s3")] if applied.stack == "prod" else []
    )
    for one in recorded:
        assert one["LogDestination"] == f"arn:aws:s3:::{applied.outputs['log_bucket']}"


def test_subnets_carry_the_tags_that_load_balancers_look_for(applied: Applied) -> None:
    cluster = f"kubernetes.io/cluster/ml-platform-{applied.stack}"
    wanted = {
        "public": {"kubernetes.io/role/elb": "1", cluster: "shared"},
        "private": {"kubernetes.io/role/internal-elb": "1", cluster: "shared"},
        "isolated": {},
    }
    for kind in KINDS:
        for subnet in applied.subnets(kind):
            found = {key: value for key, value in tags(subnet).items() if key.startswith("kubernetes.io/")}
            assert found == wanted[kind]

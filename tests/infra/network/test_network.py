"""The network: who can leave, who can be reached, and what is recorded."""

import pytest

from infra.network.network import Network, NetworkArgs
from infra.settings.settings import NetworkSettings
from tests.builders import deploy, inputs_of, wanted
from tests.infra.builders import ENVIRONMENT, ZONES


def deploy_network(*, flow_log_bucket_arn=None, **settings):
    args = NetworkArgs(
        environment=ENVIRONMENT,
        zones=ZONES,
        settings=NetworkSettings().model_copy(update={"nat_gateways": "none", **settings}),
        flow_log_bucket_arn=flow_log_bucket_arn,
    )
    return deploy(lambda: Network("network", args))


def test_all_that_a_console_lists_has_a_name_of_its_own():
    network = deploy_network(nat_gateways="per_zone", interface_endpoints=("ecr.api",))
    types = ("vpc:Vpc", "subnet:Subnet", "routeTable:RouteTable", "natGateway:NatGateway", "vpcEndpoint:VpcEndpoint")
    for type_ in types:
        tags = [one["tags"]["Name"] for one in inputs_of(network, f"aws:ec2/{type_}").values()]
        assert tags
        assert len(tags) == len(set(tags))
        assert all(name.startswith("network") for name in tags)


@pytest.mark.parametrize(("choice", "count"), [("none", 0), ("single", 1), ("per_zone", 3)])
def test_a_network_has_as_many_nat_gateways_as_it_was_told(choice, count):
    assert len(deploy_network(nat_gateways=choice).of_type("aws:ec2/natGateway:NatGateway")) == count


def test_private_subnets_leave_through_the_nat_gateway_of_their_zone():
    network = deploy_network(nat_gateways="per_zone")
    gateways = {one.wanted.name: one.created.id for one in network.of_type("aws:ec2/natGateway:NatGateway")}
    routes = inputs_of(network, "aws:ec2/route:Route")
    for zone in ZONES:
        assert routes[f"network-private-{zone}-nat"]["natGatewayId"] == gateways[f"network-nat-{zone}"]


def test_without_nat_only_public_subnets_have_a_route_out():
    assert list(inputs_of(deploy_network(), "aws:ec2/route:Route")) == ["network-public-internet"]


def test_every_subnet_has_a_table_and_isolated_ones_share_one_without_routes():
    network = deploy_network(nat_gateways="per_zone")
    table_of = {
        one["subnetId"]: one["routeTableId"]
        for one in inputs_of(network, "aws:ec2/routeTableAssociation:RouteTableAssociation").values()
    }
    subnets = {one.wanted.name: one.created.id for one in network.of_type("aws:ec2/subnet:Subnet")}
    assert set(table_of) == set(subnets.values())
    [isolated_table] = {table_of[id_] for name, id_ in subnets.items() if "isolated" in name}
    assert isolated_table not in {one["routeTableId"] for one in inputs_of(network, "aws:ec2/route:Route").values()}


def test_subnets_carry_the_tags_that_load_balancers_look_for():
    subnets = inputs_of(deploy_network(), "aws:ec2/subnet:Subnet")
    tags = {name: one["tags"] for name, one in subnets.items()}
    assert tags["network-public-us-east-1a"]["kubernetes.io/role/elb"] == "1"
    assert tags["network-private-us-east-1a"]["kubernetes.io/role/internal-elb"] == "1"
    assert all(
        ("kubernetes.io/cluster/ml-platform-test" in one) is ("isolated" not in name) for name, one in tags.items()
    ), "the database's subnets are not for load balancers or nodes"


def test_s3_is_reached_without_nat_from_every_route_table():
    network = deploy_network()
    [endpoint] = inputs_of(network, "aws:ec2/vpcEndpoint:VpcEndpoint").values()
    tables = {one.created.id for one in network.of_type("aws:ec2/routeTable:RouteTable")}
    assert (endpoint["vpcEndpointType"], endpoint["serviceName"]) == ("Gateway", "com.amazonaws.us-east-1.s3")
    assert set(endpoint["routeTableIds"]) == tables


def test_interface_endpoints_answer_the_vpc_over_https_alone():
    network = deploy_network(interface_endpoints=("ecr.api", "sts"))
    endpoints = inputs_of(network, "aws:ec2/vpcEndpoint:VpcEndpoint")
    private = [one.created.id for one in network.of_type("aws:ec2/subnet:Subnet") if "private" in one.wanted.name]
    for name in ("network-ecr-api", "network-sts"):
        assert endpoints[name]["privateDnsEnabled"]
        assert sorted(endpoints[name]["subnetIds"]) == sorted(private)
    [rule] = inputs_of(network, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule").values()
    assert (rule["cidrIpv4"], rule["fromPort"], rule["toPort"]) == ("10.0.0.0/16", 443, 443)


def test_the_default_security_group_admits_nothing_and_reaches_nothing():
    [group] = inputs_of(deploy_network(), "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup").values()
    assert group["ingress"] == group["egress"] == []


def test_traffic_is_recorded_where_a_bucket_is_given():
    assert not deploy_network().of_type("aws:ec2/flowLog:FlowLog")
    [log] = inputs_of(deploy_network(flow_log_bucket_arn="arn:aws:s3:::logs"), "aws:ec2/flowLog:FlowLog").values()
    assert (log["trafficType"], log["logDestination"]) == ("ALL", "arn:aws:s3:::logs")


def test_a_nat_gateway_waits_for_the_internet_gateway():
    network = deploy_network(nat_gateways="single")
    [gateway] = wanted(network, "aws:ec2/internetGateway:InternetGateway").values()
    [nat] = wanted(network, "aws:ec2/natGateway:NatGateway").values()
    assert gateway.urn in nat.dependencies

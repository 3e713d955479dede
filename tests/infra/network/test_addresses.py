from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.network.addresses import LARGEST_NETWORK, SMALLEST_NETWORK, check_network, subnet_layout
from infra.settings.settings import NetworkSettings


@st.composite
def networks(draw: st.DrawFn) -> IPv4Network:
    prefix = draw(st.integers(LARGEST_NETWORK, SMALLEST_NETWORK))
    block = draw(st.integers(0, 2 ** (prefix - 8) - 1))
    return IPv4Network((int(IPv4Network("10.0.0.0/8").network_address) + block * 2 ** (32 - prefix), prefix))


@given(networks())
def test_subnets_are_disjoint_inside_the_network_and_one_a_zone(network):
    layout = subnet_layout(network)
    subnets = [*layout.public, *layout.private, *layout.isolated]
    assert len(layout.public) == len(layout.private) == len(layout.isolated) == 3
    assert all(subnet.subnet_of(network) for subnet in subnets)
    assert not any(a.overlaps(b) for a in subnets for b in subnets if a is not b)


@given(networks())
def test_each_private_subnet_holds_a_quarter_of_the_network(network):
    assert {4 * subnet.num_addresses for subnet in subnet_layout(network).private} == {network.num_addresses}


@given(networks())
def test_no_subnet_is_smaller_than_aws_admits(network):
    layout = subnet_layout(network)
    assert all(subnet.prefixlen <= 28 for subnet in (*layout.public, *layout.private, *layout.isolated))


def test_the_default_network_has_room_for_pods():
    private = subnet_layout(NetworkSettings().cidr).private
    assert all(subnet.prefixlen <= 19 for subnet in private)


@given(networks())
def test_every_network_that_can_be_divided_passes_the_check(network):
    assert check_network(network) == network


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("10.0.0.0/26", "Network 10.0.0.0/26 has 64 addresses and 3 zones need 1008; use a /22 or larger"),
        ("10.0.0.0/12", "Network 10.0.0.0/12 is larger than AWS admits for a VPC; use a /16 or smaller"),
        ("8.8.0.0/16", "Network 8.8.0.0/16 is not private"),
    ],
    ids=["too small", "too large", "public"],
)
def test_a_network_that_cannot_be_used_is_refused_with_its_bound(network, message):
    with pytest.raises(ValueError, match=message):
        check_network(IPv4Network(network))

"""Division of a VPC's address range among its subnets: arithmetic alone."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

NUM_ZONES = 3
SMALLEST_NETWORK = 22
"""Longest prefix of a network: 1,024 addresses, of which each private subnet gets 256 and each isolated one 16."""
_NEEDED = NUM_ZONES * (256 + 64 + 16)
"""Number of addresses in the subnets of such a network."""
LARGEST_NETWORK = 16
"""Shortest prefix of a network: AWS admits no larger VPC
(https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html)."""


@dataclass(frozen=True, kw_only=True)
class SubnetLayout:
    """The subnets of a network, zone by zone; disjoint, aligned and inside it."""

    public: tuple[IPv4Network, ...]
    private: tuple[IPv4Network, ...]
    isolated: tuple[IPv4Network, ...]


def host_pattern(network: IPv4Network) -> str:
    """Return a pattern, with `*`, that matches the addresses of `network` as text, whatever port follows."""
    first, second, *_ = str(network.network_address).split(".")
    return f"{first}.{second}.*"


def check_network(network: IPv4Network) -> IPv4Network:
    """Return the network itself; raise ValueError unless it is private and can be divided among the zones."""
    if network.prefixlen > SMALLEST_NETWORK:
        raise ValueError(
            f"Network {network} has {network.num_addresses} addresses and {NUM_ZONES} zones need "
            f"{_NEEDED}; use a /{SMALLEST_NETWORK} or larger"
        )
    if network.prefixlen < LARGEST_NETWORK:
        raise ValueError(f"Network {network} is larger than AWS admits for a VPC; use a /{LARGEST_NETWORK} or smaller")
    if not network.is_private:
        raise ValueError(
            f"Network {network} is not private; use a range inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
        )
    return network


def subnet_layout(network: IPv4Network) -> SubnetLayout:
    """Divide `network`, three quarters of which become one private subnet a zone, for nodes and pods.

    Of the last quarter, three quarters become one public subnet a zone; of the last sixteenth, three quarters become
    one isolated subnet a zone, for the database; a sixty-fourth of the network stays free.
    """
    *private, last_quarter = network.subnets(prefixlen_diff=2)
    *public, last_sixteenth = last_quarter.subnets(prefixlen_diff=2)
    *isolated, _free = last_sixteenth.subnets(prefixlen_diff=2)
    return SubnetLayout(public=tuple(public), private=tuple(private), isolated=tuple(isolated))

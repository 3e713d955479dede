"""The firewall rules of security groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from mlp.engine.cloud import Registration
from mlp.plan.planned import ProgramPlan

_RULES = {
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "in",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "out",
}
_INLINE_RULES = ("aws:ec2/securityGroup:SecurityGroup", "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")


@dataclass(frozen=True)
class FirewallRule:
    """A firewall rule: -1 stands for every protocol, and for every port."""

    direction: str
    protocol: str
    ports: tuple[int, int]
    peer: str

    def covers(self, other: FirewallRule) -> bool:
        """Return whether this rule permits whatever `other` does."""
        return (
            self.direction == other.direction
            and self.protocol in (other.protocol, "-1")
            and (self.protocol == "-1" or (self.ports[0] <= other.ports[0] and other.ports[1] <= self.ports[1]))
            and within(other.peer, self.peer)
        )

    def __str__(self) -> str:
        """Return the rule in words."""
        first, last = self.ports
        ports = "every port" if self.protocol == "-1" or first == -1 else f"port {first}"
        ports += f" to {last}" if last != first else ""
        protocol = "" if self.protocol == "-1" else f" ({self.protocol})"
        return f"{'from' if self.direction == 'in' else 'to'} {self.peer} {ports}{protocol}"


def within(address_range: str, other: str) -> bool:
    """Return whether one address range is inside another; other peers, groups and lists, only in themselves."""
    if address_range == other:
        return True
    try:
        one, two = ip_network(address_range), ip_network(other)
        return one.version == two.version and one.subnet_of(two)  # type: ignore[arg-type]  # of one version
    except ValueError:
        return False


def firewall_rules(plan: ProgramPlan) -> Mapping[str, list[tuple[Registration, FirewallRule]]]:
    """Return the firewall rules of every group by its id, each with the resource that declares it."""
    found: dict[str, list[tuple[Registration, FirewallRule]]] = defaultdict(list)
    for one in plan.resources.values():
        if one.type in _RULES:
            found[one.inputs["securityGroupId"]] += [(one, each) for each in _read_rule(_RULES[one.type], one.inputs)]
        elif one.type in _INLINE_RULES and one.id:
            for direction, key in (("in", "ingress"), ("out", "egress")):
                for rule in one.inputs.get(key) or []:
                    found[one.id] += [(one, each) for each in _read_rule(direction, rule)]
    return found


def _read_rule(direction: str, rule: Mapping[str, Any]) -> Iterator[FirewallRule]:
    protocol = str(rule.get("ipProtocol") or rule.get("protocol") or "-1")
    ports = (int(rule.get("fromPort", -1)), int(rule.get("toPort", -1)))
    single = ("cidrIpv4", "cidrIpv6", "referencedSecurityGroupId", "prefixListId")
    many = ("cidrBlocks", "ipv6CidrBlocks", "securityGroups", "prefixListIds")
    peers = [rule[key] for key in single if rule.get(key)] + [one for key in many for one in rule.get(key) or []]
    for peer in peers:
        yield FirewallRule(direction, protocol, ports, str(peer))

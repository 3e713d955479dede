"""Rules about inbound network access."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from policies.rules.model import UNKNOWN, Context, Finding, Plan, PlannedResource, Rule, of_type
from policies.rules.reading import at, inside, mappings, number, texts

_GROUPS = ("aws:ec2/securityGroup:SecurityGroup", "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
_INGRESS_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
_LEGACY_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
INGRESS = "kubernetes:networking.k8s.io/v1:Ingress"
_LOAD_BALANCERS = ("aws:lb/loadBalancer:LoadBalancer", "aws:alb/loadBalancer:LoadBalancer")
_REDIRECT = "alb.ingress.kubernetes.io/ssl-redirect"
_WORLD_BITS = 8
"""Shortest prefix of an address range that is a network of its own; a shorter one is a part of the internet."""
HTTPS, HTTP = 443, 80


@dataclass(frozen=True, kw_only=True)
class _FirewallRule:
    """A firewall rule for inbound traffic: ports of a protocol, from address ranges."""

    protocol: Any
    first: Any
    last: Any
    ranges: list[str]

    @property
    def ports(self) -> str:
        if self.protocol in ("-1", -1, None):
            return "every port"
        return f"port {self.first}" if self.first == self.last else f"ports {self.first} to {self.last}"

    def is_port(self, port: int) -> bool:
        return self.protocol in ("tcp", "6", 6) and number(self.first) == number(self.last) == port


def _firewall_rules(resource: PlannedResource) -> Iterator[_FirewallRule]:
    properties = resource.properties
    if resource.type == _INGRESS_RULE:
        ranges = [*texts(at(properties, "cidrIpv4")), *texts(at(properties, "cidrIpv6"))]
        yield _firewall_rule(properties, "ipProtocol", ranges)
    elif resource.type in _GROUPS or (resource.type == _LEGACY_RULE and at(properties, "type") == "ingress"):
        for one in mappings(at(properties, "ingress")) if resource.type in _GROUPS else [properties]:
            yield _firewall_rule(one, "protocol", [*texts(at(one, "cidrBlocks")), *texts(at(one, "ipv6CidrBlocks"))])


def _firewall_rule(rule: Any, protocol: str, ranges: list[str]) -> _FirewallRule:
    return _FirewallRule(
        protocol=at(rule, protocol), first=at(rule, "fromPort"), last=at(rule, "toPort"), ranges=ranges
    )


def is_world(block: str) -> bool:
    """Return whether an address range is a part of the internet."""
    try:
        return ip_network(block, strict=False).prefixlen < _WORLD_BITS
    except ValueError:
        return False


def _no_open_ingress(plan: Plan, _context: Context) -> Iterator[Finding]:
    groups = {one.urn for one in of_type(plan, *_GROUPS)}
    ingresses = of_type(plan, INGRESS)
    load_balancer_groups = {
        urn for one in (*ingresses, *of_type(plan, *_LOAD_BALANCERS)) for urn in one.dependencies
    } & groups
    plain = {urn for one in ingresses if not _redirects(one) for urn in one.dependencies}
    redirecting = {urn for one in ingresses for urn in one.dependencies} & load_balancer_groups - plain
    for resource in plan:
        own = {resource.urn, *resource.dependencies} & groups
        for rule in _firewall_rules(resource):
            world = [block for block in rule.ranges if is_world(block)]
            is_allowed = bool(own) and (
                (rule.is_port(HTTPS) and own <= load_balancer_groups) or (rule.is_port(HTTP) and own <= redirecting)
            )
            if world and not is_allowed:
                message = (
                    f"{resource.name} opens {rule.ports} to {', '.join(world)}; the world may reach port {HTTPS} of "
                    f"a load balancer, and {HTTP} where every Ingress behind it redirects to {HTTPS}"
                )
                yield resource, message


def _redirects(ingress: PlannedResource) -> bool:
    found = at(ingress.properties, "metadata", "annotations", _REDIRECT)
    return found is UNKNOWN or found == str(HTTPS)


NO_OPEN_INGRESS = Rule(
    name="no-open-ingress",
    description=f"The world (a range shorter than /{_WORLD_BITS}) reaches port {HTTPS} of the load balancer alone, and "
    f"port {HTTP} where that only redirects.",
    check=_no_open_ingress,
    whole_plan=True,
)


def _one_entrance(plan: Plan, _context: Context) -> Iterator[Finding]:
    for resource in of_type(plan, "kubernetes:core/v1:Service", "kubernetes:helm.sh/v3:Release"):
        if resource.type.endswith("Service"):
            services = [at(resource.properties, "spec")]
        else:
            values = inside(at(resource.properties, "values"))
            services = [at(one, key) for one in values for key in one if str(key).lower().endswith("service")]
        for service in services:
            found = at(service, "type")
            if found in ("LoadBalancer", "NodePort"):
                message = f"{resource.name} has a service of type {found}; it must be ClusterIP, behind an Ingress"
                yield resource, message


ONE_ENTRANCE = Rule(
    name="one-entrance",
    description="Services are reached through the one load balancer, which has TLS, a firewall and a rate limit; none "
    "is exposed by itself.",
    check=_one_entrance,
)

NETWORK_RULES = (NO_OPEN_INGRESS, ONE_ENTRANCE)

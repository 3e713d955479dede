import pytest

from policies.rules.model import UNKNOWN
from tests.policies.builders import messages, resource

RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
OLD_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
LB_GROUP = resource("aws:ec2/securityGroup:SecurityGroup", name="load-balancer")
INNER = resource("aws:ec2/securityGroup:SecurityGroup", name="inner")
RELEASE = "kubernetes:helm.sh/v3:Release"
SERVICE = "kubernetes:core/v1:Service"


def ingress(redirect="443"):
    annotations = {"alb.ingress.kubernetes.io/ssl-redirect": redirect} if redirect else {}
    properties = {"metadata": {"annotations": annotations}}
    return resource("kubernetes:networking.k8s.io/v1:Ingress", properties, name="way", depends_on=[LB_GROUP])


def opening(group, port=443, block="0.0.0.0/0", protocol="tcp", **changes):
    properties = {"ipProtocol": protocol, "fromPort": port, "toPort": port, "cidrIpv4": block, **changes}
    return resource(RULE, properties, name="rule", depends_on=[group])


@pytest.mark.parametrize(
    "plan",
    [
        (LB_GROUP, ingress(), opening(LB_GROUP)),
        (LB_GROUP, ingress(), opening(LB_GROUP, 80)),
        (LB_GROUP, ingress(UNKNOWN), opening(LB_GROUP, 80)),
        (
            LB_GROUP,
            ingress(),
            opening(LB_GROUP, None, cidrIpv4=None, cidrIpv6="::/0", fromPort=443.0, toPort="443"),
        ),
        (
            LB_GROUP,
            resource("aws:lb/loadBalancer:LoadBalancer", depends_on=[LB_GROUP]),
            opening(LB_GROUP),
        ),
        (INNER, opening(INNER, 5432, "10.0.0.0/8")),
        (INNER, opening(INNER, 5432, UNKNOWN)),
        (INNER, opening(INNER, 5432, "nonsense")),
        (INNER, opening(INNER, 5432, None, referencedSecurityGroupId="sg-1")),
        (resource("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", {"ingress": []}),),
        (resource(OLD_RULE, {"type": "egress", "cidrBlocks": ["0.0.0.0/0"], "protocol": "-1"}),),
    ],
    ids=[
        "https",
        "http that redirects",
        "http, not known yet",
        "https over IPv6",
        "a balancer of its own",
        "own range",
        "range not known yet",
        "no range",
        "another group",
        "default group",
        "outward",
    ],
)
def test_permitted_firewall_rules_are_not_reported(plan):
    assert messages("no-open-ingress", *plan) == []


@pytest.mark.parametrize(
    ("plan", "opened"),
    [
        ((INNER, opening(INNER, 5432)), "rule opens port 5432 to 0.0.0.0/0"),
        ((INNER, opening(INNER)), "rule opens port 443 to 0.0.0.0/0"),
        ((INNER, opening(INNER, 22, "128.0.0.0/1")), "rule opens port 22 to 128.0.0.0/1"),
        (
            (LB_GROUP, ingress(), opening(LB_GROUP, 443, protocol="udp")),
            "rule opens port 443 to 0.0.0.0/0",
        ),
        (
            (LB_GROUP, ingress(), opening(LB_GROUP, 443, toPort=8443)),
            "rule opens ports 443 to 8443 to 0.0.0.0/0",
        ),
        (
            (LB_GROUP, ingress(), opening(LB_GROUP, None, protocol="-1")),
            "rule opens every port to 0.0.0.0/0",
        ),
        ((LB_GROUP, ingress(None), opening(LB_GROUP, 80)), "rule opens port 80 to 0.0.0.0/0"),
        ((opening(INNER),), "rule opens port 443 to 0.0.0.0/0"),
        (
            (
                resource(
                    INNER.type,
                    {"ingress": [{"protocol": "tcp", "fromPort": 22, "toPort": 22, "ipv6CidrBlocks": ["::/0"]}]},
                ),
            ),
            "thing opens port 22 to ::/0",
        ),
        (
            (
                resource(
                    OLD_RULE,
                    {"type": "ingress", "protocol": "tcp", "fromPort": 22, "toPort": 22, "cidrBlocks": ["0.0.0.0/0"]},
                ),
            ),
            "thing opens port 22 to 0.0.0.0/0",
        ),
    ],
    ids=[
        "database",
        "https elsewhere",
        "half the world",
        "udp",
        "range of ports",
        "all ports",
        "http that stays",
        "unknown group",
        "inline rule",
        "rule of old",
    ],
)
def test_a_firewall_rule_open_to_the_world_is_named(plan, opened):
    [found] = messages("no-open-ingress", *plan)
    assert found.startswith(f"{opened}; the world may reach port 443 of a load balancer")


@pytest.mark.parametrize(
    ("type_", "properties", "found"),
    [
        (SERVICE, {"spec": {"type": "ClusterIP"}}, []),
        (SERVICE, {}, []),
        (SERVICE, {"spec": {"type": "LoadBalancer"}}, ["LoadBalancer"]),
        (RELEASE, {"values": {"service": {"type": "ClusterIP"}, "type": "LoadBalancer"}}, []),
        (RELEASE, {"values": {"grafana": {"service": {"type": "NodePort"}}}}, ["NodePort"]),
        (RELEASE, {"values": UNKNOWN}, []),
    ],
)
def test_a_service_is_not_exposed_by_itself(type_, properties, found):
    assert messages("one-entrance", resource(type_, properties)) == [
        f"thing has a service of type {kind}; it must be ClusterIP, behind an Ingress" for kind in found
    ]

"""Rules about the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from policies.rules.encryption import CLUSTER
from policies.rules.model import UNKNOWN, Context, Finding, Level, Plan, Rule, of_type
from policies.rules.network import is_world
from policies.rules.nodes import NODE_GROUP
from policies.rules.reading import at, texts

STANDARD_SUPPORT_ENDS: Mapping[str, date] = {
    "1.32": date(2026, 3, 23),
    "1.33": date(2026, 7, 29),
    "1.34": date(2026, 12, 2),
    "1.35": date(2027, 3, 27),
}
"""Last day of EKS's standard support by Kubernetes version, as of 2026-11-21
(https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html)."""
NOTICE = timedelta(days=90)
_NOT_EKS = {"local": Level.OFF}
_EVERYBODY = "0.0.0.0/0"


def _kubernetes_supported(plan: Plan, context: Context) -> Iterator[Finding]:
    good = [version for version, ends in STANDARD_SUPPORT_ENDS.items() if ends >= context.today]
    for resource in of_type(plan, CLUSTER, NODE_GROUP):
        version = at(resource.properties, "version")
        if version is not UNKNOWN and version not in good:
            ended = STANDARD_SUPPORT_ENDS.get(version) if isinstance(version, str) else None
            state = f"left standard support on {ended}" if ended else "is in no table of policies/rules/cluster.py"
            yield resource, f"Kubernetes {version} of {resource.name} {state}; supported: {', '.join(good) or 'none'}"
    for cluster in of_type(plan, CLUSTER):
        support = at(cluster.properties, "upgradePolicy", "supportType")
        if support not in ("STANDARD", UNKNOWN):
            message = (
                f"upgradePolicy.supportType of {cluster.name} is {support!r} and must be 'STANDARD': the extended one, "
                "AWS's default, costs six times as much an hour"
            )
            yield cluster, message


KUBERNETES_SUPPORTED = Rule(
    name="kubernetes-supported",
    description="The cluster and its nodes run a version in EKS's standard support, and never fall into the extended "
    "one, which costs 0.60 USD an hour and not 0.10 (https://aws.amazon.com/eks/pricing/).",
    check=_kubernetes_supported,
    level_overrides=_NOT_EKS,
)


def _kubernetes_support_ends_soon(plan: Plan, context: Context) -> Iterator[Finding]:
    for cluster in of_type(plan, CLUSTER):
        version = at(cluster.properties, "version")
        ends = STANDARD_SUPPORT_ENDS.get(version) if isinstance(version, str) else None
        if ends and timedelta(0) <= ends - context.today <= NOTICE:
            message = (
                f"Kubernetes {version} of {cluster.name} leaves standard support on {ends}, in "
                f"{(ends - context.today).days} days; set cluster.kubernetes_version to the next one"
            )
            yield cluster, message


KUBERNETES_SUPPORT_ENDS_SOON = Rule(
    name="kubernetes-support-ends-soon",
    description=f"The version stays in standard support for {NOTICE.days} days more.",
    check=_kubernetes_support_ends_soon,
    level=Level.ADVISORY,
    level_overrides=_NOT_EKS,
)


def _api_endpoint_closed(plan: Plan, _context: Context) -> Iterator[Finding]:
    for cluster in of_type(plan, CLUSTER):
        access = at(cluster.properties, "vpcConfig")
        public, ranges = at(access, "endpointPublicAccess"), at(access, "publicAccessCidrs")
        if UNKNOWN in (access, ranges) or public in (False, "false", UNKNOWN):
            continue
        # A public endpoint that is held to no range is open to all, and is what EKS makes unless told otherwise.
        for block in filter(is_world, texts(ranges) or [_EVERYBODY]):
            message = (
                f"the API endpoint of {cluster.name} is open to {block}; set cluster.public_access_cidrs to the "
                "ranges of your office, or leave it empty for the VPC alone"
            )
            yield cluster, message


API_ENDPOINT_CLOSED = Rule(
    name="api-endpoint-closed",
    description="The cluster's API answers the VPC alone, or named ranges.",
    check=_api_endpoint_closed,
    level_overrides={"dev": Level.ADVISORY, "local": Level.OFF},
)

CLUSTER_RULES = (KUBERNETES_SUPPORTED, KUBERNETES_SUPPORT_ENDS_SOON, API_ENDPOINT_CLOSED)

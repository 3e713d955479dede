"""The billable quantities of a plan's resources: how much of which item, before any price is known.

The row of a resource type in `mlp.engine.types` names its rule or why it is free. A type without a row is reported as
unpriced, so that one of an older plan cannot be overlooked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.facts.kubernetes_versions import STANDARD_SUPPORT_ENDS, TABLE_DATE
from mlp.engine.cloud import Registration
from mlp.engine.types import TYPES, how_to_add
from mlp.engine.types.facts import PriceRule
from mlp.plan.planned import ProgramPlan
from mlp.review.cost.assumptions import FREE_INTERNET_GB, Assumptions
from mlp.review.cost.volumes import PlannedVolume, volumes

HOURS = 730
"""Hours in a month, as AWS's own calculator counts them."""
_ALB = "alb.ingress.kubernetes.io/"
_PUBLIC_SUBNET = "kubernetes.io/role/elb"
"""Tag of the subnets of a public load balancer, which has an address in each."""
_DAYS_A_MONTH = 30
_FREE_INSIGHTS_DAYS = 7
_STANDARD_PERIOD_S = 60


@dataclass(frozen=True)
class Need:
    """A quantity of an item in a month. `assumed` names the assumption that the quantity comes from."""

    area: str
    name: str
    item: str
    quantity: float
    detail: str = field(default="", kw_only=True)
    assumed: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class Unpriced:
    """A resource or item whose price the bill does not know, and why not."""

    what: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """The plans of one stack, and the assumptions about its use."""

    plans: Sequence[ProgramPlan]
    assumed: Assumptions

    def of_type(self, type_: str) -> list[Registration]:
        """Return the resources of one type."""
        return [entry for plan in self.plans for entry in plan.of_type(type_)]

    def counted_by(self, rule: PriceRule) -> list[Registration]:
        """Return the resources of the types that `rule` prices."""
        return [entry for type_, facts in TYPES.items() if facts.price is rule for entry in self.of_type(type_)]

    def types(self) -> list[str]:
        """Return the types of all resources that a provider creates, in order."""
        return sorted({entry.type for plan in self.plans for entry in plan.resources.values() if entry.custom})


Found = Need | Unpriced


def needs(landscape: Landscape) -> Iterator[Found]:
    """Yield the monthly needs of everything but the nodes."""
    for type_ in landscape.types():
        facts = TYPES.get(type_)
        if facts is None:
            yield Unpriced(type_, f"no rule says what it costs; {how_to_add(type_)}")
        elif isinstance(facts.price, PriceRule) and (rule := _EACH.get(facts.price)):
            for entry in landscape.of_type(type_):
                yield from rule(entry, landscape)
    yield from _used(landscape)
    yield from _load_balancers(landscape)
    for volume in volumes(landscape.plans):
        yield from _volume(volume)


def free_types(landscape: Landscape) -> dict[str, str]:
    """Return the planned types that cost nothing by themselves, and why."""
    prices = {type_: TYPES[type_].price for type_ in landscape.types() if type_ in TYPES}
    return {type_: price for type_, price in prices.items() if isinstance(price, str)}


def _cluster(entry: Registration, _: Landscape) -> Iterator[Found]:
    version = str(entry.inputs.get("version"))
    support = (entry.inputs.get("upgradePolicy") or {}).get("supportType", "EXTENDED")  # EKS's own default
    ends = STANDARD_SUPPORT_ENDS.get(version)
    extended = support == "EXTENDED" and ends is not None and ends < TABLE_DATE
    kind, item = ("extended", "eks/cluster-extended-support") if extended else ("standard", "eks/cluster")
    yield Need("Cluster", "control plane", item, HOURS, detail=f"Kubernetes {version}, {kind} support")


def _database(entry: Registration, landscape: Landscape) -> Iterator[Found]:
    given = entry.inputs
    if given.get("engine") != "postgres" or given.get("storageType", "gp2") != "gp3":
        found = f"{given.get('engine')} on {given.get('storageType', 'gp2')}"
        yield Unpriced(f"database {entry.name}", f"{found}; the table has PostgreSQL on gp3")
        return
    copies, gb = (2 if given.get("multiAz") else 1), float(given.get("allocatedStorage", 0))
    class_, zones = given.get("instanceClass"), "and a standby" if copies == 2 else "in one zone"
    yield Need("Database", "instance", f"rds-postgres/{class_}", HOURS * copies, detail=f"{class_} {zones}")
    yield Need("Database", "storage", "rds/gp3", gb * copies, detail=f"{gb:g} GB {zones}")
    backup = max(0.0, landscape.assumed.database_backup_gb - gb)
    yield Need("Database", "backups", "rds/backup", backup, assumed="database_backup_gb", detail=f"{gb:g} GB are free")
    if given.get("iops") or given.get("storageThroughput"):
        yield Unpriced(f"database {entry.name}", "IOPS and throughput above gp3's own are not in the table")
    if given.get("performanceInsightsRetentionPeriod", 0) > _FREE_INSIGHTS_DAYS:
        yield Unpriced(f"database {entry.name}", f"Performance Insights beyond {_FREE_INSIGHTS_DAYS} days are not")


def _address(_: Registration, __: Landscape) -> Iterator[Found]:
    yield Need("Network", "public IPv4 addresses", "vpc/public-ipv4", HOURS)


def _nat(_: Registration, __: Landscape) -> Iterator[Found]:
    yield Need("Network", "NAT gateways", "nat/gateway", HOURS)


def _endpoint(entry: Registration, _: Landscape) -> Iterator[Found]:
    kind = entry.inputs.get("vpcEndpointType", "Gateway")  # AWS's own default
    if kind == "Interface":
        zones = len(entry.inputs.get("subnetIds") or [])
        yield Need("Network", "interface endpoints", "vpc/interface-endpoint", HOURS * zones)
    elif kind != "Gateway":  # a gateway endpoint is free
        yield Unpriced(f"VPC endpoint {entry.name}", f"endpoints of type {kind} are not in the table")


def _flow_log(entry: Registration, landscape: Landscape) -> Iterator[Found]:
    given, gb = entry.inputs, landscape.assumed.flow_log_gb
    if given.get("logDestinationType") != "s3":
        yield Unpriced(f"flow log {entry.name}", "only flow logs that go to S3 are in the table")
        return
    yield Need("Logs", "flow logs to S3", "logs/delivery-to-s3", gb, assumed="flow_log_gb")
    if (given.get("destinationOptions") or {}).get("fileFormat") == "parquet":
        yield Need("Logs", "flow logs as Parquet", "logs/parquet", gb, assumed="flow_log_gb")


def _log_group(entry: Registration, landscape: Landscape) -> Iterator[Found]:
    name, days = str(entry.inputs.get("name", entry.name)), entry.inputs.get("retentionInDays", 0)
    assumed = "log_group_gb"
    if name.startswith("/aws/eks/"):
        if not any(cluster.inputs.get("enabledClusterLogTypes") for cluster in landscape.counted_by(PriceRule.CLUSTER)):
            return  # nothing is written to it
        assumed = "control_plane_log_gb"
    gb = getattr(landscape.assumed, assumed)
    yield Need("Logs", f"log {name}", "logs/ingestion", gb, assumed=assumed)
    if days:
        kept = gb * days / _DAYS_A_MONTH
        yield Need("Logs", f"log {name}, kept", "logs/storage", kept, assumed=assumed, detail=f"{days} days")
    else:
        yield Unpriced(f"log {name}", "it is kept for ever, so that its storage grows without end")


def _alarm(entry: Registration, _: Landscape) -> Iterator[Found]:
    if entry.inputs.get("metricQueries") or entry.inputs.get("period", _STANDARD_PERIOD_S) < _STANDARD_PERIOD_S:
        yield Unpriced(f"alarm {entry.name}", "only alarms of one metric, each minute at most, are priced")
    else:
        yield Need("Logs", "alarms", "cloudwatch/alarm", 1)


def _key(_: Registration, __: Landscape) -> Iterator[Found]:
    yield Need("Security", "encryption keys", "kms/key", 1)


def _secret(_: Registration, __: Landscape) -> Iterator[Found]:
    yield Need("Security", "secrets", "secrets/secret", 1)


def _web_acl(entry: Registration, landscape: Landscape) -> Iterator[Found]:
    requests = landscape.assumed.web_requests_million
    yield Need("Entrance", "web firewall", "waf/acl", 1)
    yield Need("Entrance", "web firewall rules", "waf/rule", len(entry.inputs.get("rules") or []))
    yield Need("Entrance", "web firewall requests", "waf/requests", requests, assumed="web_requests_million")


_EACH: Mapping[PriceRule, Callable[[Registration, Landscape], Iterator[Found]]] = {
    PriceRule.ADDRESS: _address,
    PriceRule.ALARM: _alarm,
    PriceRule.CLUSTER: _cluster,
    PriceRule.DATABASE: _database,
    PriceRule.FLOW_LOG: _flow_log,
    PriceRule.KEY: _key,
    PriceRule.LOG_GROUP: _log_group,
    PriceRule.NAT_GATEWAY: _nat,
    PriceRule.SECRET: _secret,
    PriceRule.VPC_ENDPOINT: _endpoint,
    PriceRule.WEB_ACL: _web_acl,
}
"""Needs of a single resource by price rule; the other rules are counted by use, as load balancers, or in `nodes`."""
_USED: Sequence[tuple[PriceRule, str, str, str, str, float]] = (
    # if there is one of these: area, name, item, what is assumed, how many units one of that is
    (PriceRule.NAT_GATEWAY, "Network", "NAT traffic", "nat/traffic", "nat_gb", 1),
    (PriceRule.CLUSTER, "Network", "traffic between zones", "transfer/zones", "zone_gb", 2),
    (PriceRule.BUCKET, "Storage", "buckets", "s3/standard", "s3_gb", 1),
    (PriceRule.BUCKET, "Storage", "requests that write", "s3/writes", "s3_writes_thousand", 1),
    (PriceRule.BUCKET, "Storage", "requests that read", "s3/reads", "s3_reads_thousand", 1),
    (PriceRule.REPOSITORY, "Storage", "images", "ecr/storage", "ecr_gb", 1),
    (PriceRule.KEY, "Security", "requests to keys", "kms/requests", "kms_requests", 1e-4),
    (PriceRule.SECRET, "Security", "requests for secrets", "secrets/requests", "secret_requests", 1e-4),
    (PriceRule.DNS_RECORD, "Entrance", "DNS queries", "route53/queries", "dns_queries_million", 1),
)


def _used(landscape: Landscape) -> Iterator[Found]:
    """Yield what is priced by use, whatever the number of resources."""
    for rule, area, name, item, assumed, units in _USED:
        if landscape.counted_by(rule):
            quantity = getattr(landscape.assumed, assumed) * units
            yield Need(area, name, item, quantity, assumed=assumed)
    if landscape.of_type("aws:ec2/internetGateway:InternetGateway"):
        gb, free = max(0.0, landscape.assumed.internet_gb - FREE_INTERNET_GB), f"{FREE_INTERNET_GB} GB are free"
        yield Need("Network", "traffic to the internet", "transfer/internet", gb, assumed="internet_gb", detail=free)
    endpoints = landscape.counted_by(PriceRule.VPC_ENDPOINT)
    if any(one.inputs.get("vpcEndpointType") == "Interface" for one in endpoints):
        gb, item = landscape.assumed.interface_endpoint_gb, "vpc/interface-endpoint-traffic"
        yield Need("Network", "traffic of interface endpoints", item, gb, assumed="interface_endpoint_gb")
    for zone in sorted({str(one.inputs.get("zoneId")) for one in landscape.counted_by(PriceRule.DNS_RECORD)}):
        yield Need("Entrance", "DNS zone", "route53/zone", 1, detail=zone)


def _load_balancers(landscape: Landscape) -> Iterator[Found]:
    """Yield the load balancers that the cluster's controller creates for ingresses: one a group."""
    subnets = landscape.of_type("aws:ec2/subnet:Subnet")
    schemes: dict[str, str] = {}
    for ingress in landscape.counted_by(PriceRule.INGRESS):
        annotations: Mapping[str, Any] = (ingress.inputs.get("metadata") or {}).get("annotations") or {}
        if (ingress.inputs.get("spec") or {}).get("ingressClassName") != "alb":
            yield Unpriced(f"ingress {ingress.name}", "only ingresses of class alb are in the table")
            continue
        group = str(annotations.get(f"{_ALB}group.name", ingress.urn))
        schemes[group] = str(annotations.get(f"{_ALB}scheme", "internal"))  # the controller's own default
    for scheme in schemes.values():
        yield Need("Entrance", "load balancers", "alb/hours", HOURS)
        lcu_hours = HOURS * landscape.assumed.alb_lcus
        yield Need("Entrance", "load balancer capacity", "alb/lcu", lcu_hours, assumed="alb_lcus")
        if scheme == "internet-facing":
            zones = sum(1 for one in subnets if _PUBLIC_SUBNET in (one.inputs.get("tags") or {}))
            if not zones:
                yield Unpriced("addresses of the load balancer", f"no subnet of the plan has the tag {_PUBLIC_SUBNET}")
            yield Need("Network", "public IPv4 addresses", "vpc/public-ipv4", HOURS * zones)


def _volume(volume: PlannedVolume) -> Iterator[Found]:
    if volume.gib is None or volume.volume_type is None:
        size = f"size {volume.size!r} is not understood"
        yield Unpriced(f"volume of {volume.owner}", size if volume.gib is None else "its storage class is not planned")
        return
    detail = f"{volume.count} x {volume.size} {volume.volume_type}"
    yield Need(
        "Storage", f"volume of {volume.owner}", f"ebs/{volume.volume_type}", volume.gib * volume.count, detail=detail
    )

"""A refresh of the price table from AWS: its Price List for list prices, EC2's spot history for spot.

Attributes of the list: https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from statistics import mean
from typing import Any

from infra.facts.instance_types import INSTANCE_TYPES
from mlp.review.cost.prices import Price, Prices, unit_of
from mlp.shared.aws_session import AwsError, explain_refusal
from mlp.shared.errors import PlatformError

REGION_OF_THE_LIST = "us-east-1"
"""Region whose endpoint serves the price list of all regions; a few others do too."""
_SOURCE = "https://api.pricing.us-east-1.amazonaws.com"
_RDS = "rds-postgres"
_LINUX = "Linux/UNIX"
_DIGITS = 8


@dataclass(frozen=True)
class _Query:
    """A query for the products of the list with an item's price. `factor` converts the list's unit into ours."""

    service: str
    usage: str | None
    """End of the usage type; it is preceded by a short name of the region."""
    family: str | None = None
    factor: float = 1
    attributes: Mapping[str, str] = field(default_factory=dict)
    region_field: str | None = "regionCode"


_QUERIES: Mapping[str, _Query] = {
    "alb/hours": _Query("AWSELB", "LoadBalancerUsage", "Load Balancer-Application"),
    "alb/lcu": _Query("AWSELB", "LCUUsage", "Load Balancer-Application"),
    "cloudwatch/alarm": _Query("AmazonCloudWatch", "CW:AlarmMonitorUsage", "Alarm"),
    "ebs/gp3": _Query("AmazonEC2", "EBS:VolumeUsage.gp3", "Storage"),
    "ebs/gp3-iops": _Query("AmazonEC2", "EBS:VolumeP-IOPS.gp3", "System Operation"),
    "ebs/gp3-throughput": _Query("AmazonEC2", "EBS:VolumeP-Throughput.gp3", "Provisioned Throughput", 1 / 1024),
    "ecr/storage": _Query("AmazonECR", "TimedStorage-ByteHrs"),
    "eks/cluster": _Query("AmazonEKS", "AmazonEKS-Hours:perCluster", "Compute"),
    "kms/key": _Query("awskms", "KMS-Keys", "Encryption Key"),
    "kms/requests": _Query("awskms", "KMS-Requests", factor=10_000),
    "logs/delivery-to-s3": _Query("AmazonCloudWatch", "S3-Egress-Bytes"),
    "logs/ingestion": _Query("AmazonCloudWatch", "DataProcessing-Bytes", "Data Payload"),
    "logs/parquet": _Query("AmazonCloudWatch", "S3-Egress-InputBytes"),
    "logs/storage": _Query("AmazonCloudWatch", "TimedStorage-ByteHrs", "Storage Snapshot"),
    "nat/gateway": _Query("AmazonEC2", "NatGateway-Hours", "NAT Gateway"),
    "nat/traffic": _Query("AmazonEC2", "NatGateway-Bytes", "NAT Gateway"),
    "rds/backup": _Query("AmazonRDS", "RDS:ChargedBackupUsage", attributes={"databaseEngine": "PostgreSQL"}),
    "rds/gp3": _Query(
        "AmazonRDS", "RDS:GP3-Storage", "Database Storage", attributes={"deploymentOption": "Single-AZ"}
    ),
    "route53/queries": _Query("AmazonRoute53", "DNS-Queries", "DNS Query", 1_000_000, region_field=None),
    "route53/zone": _Query("AmazonRoute53", "HostedZone", "DNS Zone", region_field=None),
    "s3/reads": _Query("AmazonS3", "Requests-Tier2", factor=1000),
    "s3/standard": _Query("AmazonS3", "TimedStorage-ByteHrs", "Storage"),
    "s3/writes": _Query("AmazonS3", "Requests-Tier1", factor=1000),
    "secrets/requests": _Query("AWSSecretsManager", None, "API Request", 10_000),
    "secrets/secret": _Query("AWSSecretsManager", None, "Secret"),
    "transfer/internet": _Query(
        "AWSDataTransfer", "DataTransfer-Out-Bytes", attributes={"transferType": "AWS Outbound"},
        region_field="fromRegionCode",
    ),
    "transfer/zones": _Query(
        "AWSDataTransfer", "DataTransfer-Regional-Bytes", attributes={"transferType": "IntraRegion"},
        region_field="fromRegionCode",
    ),
    "vpc/interface-endpoint": _Query("AmazonVPC", "VpcEndpoint-Hours", "VpcEndpoint"),
    "vpc/interface-endpoint-traffic": _Query("AmazonVPC", "VpcEndpoint-Bytes", "VpcEndpoint"),
    "vpc/public-ipv4": _Query("AmazonVPC", "PublicIPv4:InUseAddress"),
    "waf/acl": _Query("awswaf", "WebACLV2"),
    "waf/requests": _Query("awswaf", "RequestV2-Tier1", factor=1_000_000),
    "waf/rule": _Query("awswaf", "RuleV2"),
}  # fmt: skip
"""Queries by item. The list has no usage type for a cluster in extended support: that price is not refreshed."""


@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """The new table, what changed in it, and the items without a single price at AWS, which keep theirs."""

    prices: Prices
    changed: tuple[str, ...]
    kept: tuple[str, ...]

    def report_lines(self) -> Iterator[str]:
        """Yield a report of the refresh, line by line."""
        yield from self.changed or ("no price changed",)
        if self.kept:
            yield f"AWS gave no single price for these, which stay as they were: {', '.join(self.kept)}"


def refreshed(prices: Prices, *, region: str, pricing: Any, ec2: Any, today: date) -> Refreshed:
    """Return the table with the prices of `region` as AWS gives them today; other regions stay.

    Raise PlatformError when AWS refuses or cannot be reached; then there is no new table at all.
    """
    before = prices.regions.get(region, {})
    table, kept = dict(before), list[str]()
    try:
        for item, query in _queries(prices).items():
            usd = _list_price(pricing, query, region)
            if usd is None:
                kept.append(item)
            else:
                table[item] = _price(item, usd, today, f"AWS Price List, {query.service}", _SOURCE)
        spot = _spot_prices(ec2, today)
    except AwsError as error:
        raise PlatformError(f"the prices stay as they were: {explain_refusal(error, 'pricing or ec2')}") from error
    for type_ in INSTANCE_TYPES:
        item = f"ec2-spot/{type_}"
        if zones := spot.get(type_):
            note = f"mean of {len(zones)} zone{'s' if len(zones) > 1 else ''}"
            on_demand = table.get(f"ec2/{type_}")
            if on_demand and on_demand.usd:
                note += f", {1 - mean(zones.values()) / on_demand.usd:.0%} below on demand"
            table[item] = _price(item, mean(zones.values()), today, note, f"https://ec2.{region}.amazonaws.com")
        else:
            kept.append(item)
    new = Prices({**prices.regions, region: table})
    return Refreshed(prices=new, changed=tuple(_changes(prices, new, region)), kept=tuple(kept))


def _queries(prices: Prices) -> dict[str, _Query]:
    """Return the queries for each item, instance type that pools may use, and database class of the table."""
    queries = dict(_QUERIES)
    linux = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}
    for type_ in INSTANCE_TYPES:
        attributes = {"instanceType": type_, **linux}
        queries[f"ec2/{type_}"] = _Query("AmazonEC2", f"BoxUsage:{type_}", attributes=attributes)
    classes = {item for items in prices.regions.values() for item in items if item.startswith(f"{_RDS}/")}
    for item in sorted(classes):
        attributes = {"instanceType": item.removeprefix(f"{_RDS}/"), "databaseEngine": "PostgreSQL"}
        attributes["deploymentOption"] = "Single-AZ"
        queries[item] = _Query("AmazonRDS", None, "Database Instance", attributes=attributes)
    return queries


def _list_price(pricing: Any, query: _Query, region: str) -> float | None:
    """Return the one on-demand price of the products in `query`, in our unit; None for none or several."""
    wanted = dict(query.attributes)
    if query.region_field:
        wanted[query.region_field] = region
    if query.family:
        wanted["productFamily"] = query.family
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in sorted(wanted.items())]
    usage = re.compile(rf"(?:[A-Z0-9]+-)?{re.escape(query.usage)}") if query.usage else re.compile(".*")
    found = set()
    for product in _products(pricing, query.service, filters):
        if usage.fullmatch(product["product"]["attributes"].get("usagetype", "")):
            found.add(_first_paid(product))
    found.discard(None)
    [only] = found if len(found) == 1 else [None]
    return None if only is None else round(only * query.factor, _DIGITS)


def _products(pricing: Any, service: str, filters: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
    token: dict[str, str] = {}
    while True:
        answer = pricing.get_products(ServiceCode=service, Filters=filters, **token)
        yield from (json.loads(product) for product in answer["PriceList"])
        if not answer.get("NextToken"):
            return
        token = {"NextToken": answer["NextToken"]}


def _first_paid(product: Mapping[str, Any]) -> float | None:
    """Return the on-demand price of the first units that are not free."""
    steps = [
        (float(step.get("beginRange", 0)), float(step["pricePerUnit"]["USD"]))
        for term in product.get("terms", {}).get("OnDemand", {}).values()
        for step in term["priceDimensions"].values()
        if "USD" in step["pricePerUnit"]
    ]
    return next((usd for _, usd in sorted(steps) if usd), None)


def _spot_prices(ec2: Any, today: date) -> dict[str, dict[str, float]]:
    """Return the newest spot price of each type in each zone."""
    given: dict[str, Any] = {
        "InstanceTypes": sorted(INSTANCE_TYPES),
        "ProductDescriptions": [_LINUX],
        "StartTime": datetime.combine(today, time(), UTC),
    }
    newest: dict[tuple[str, str], tuple[datetime, float]] = {}
    while True:
        answer = ec2.describe_spot_price_history(**given)
        for one in answer["SpotPriceHistory"]:
            key, seen = (one["InstanceType"], one["AvailabilityZone"]), (one["Timestamp"], float(one["SpotPrice"]))
            newest[key] = max(seen, newest.get(key, seen))
        if not answer.get("NextToken"):
            break
        given["NextToken"] = answer["NextToken"]
    prices: dict[str, dict[str, float]] = {}
    for (type_, zone), (_, usd) in newest.items():
        prices.setdefault(type_, {})[zone] = usd
    return prices


def _price(item: str, usd: float, today: date, note: str, source: str) -> Price:
    return Price(usd=round(usd, _DIGITS), unit=str(unit_of(item)), source=source, as_of=today, note=note)


def _changes(old: Prices, new: Prices, region: str) -> Iterator[str]:
    for item, price in sorted(new.regions[region].items()):
        before = old.find(region, item)
        if before is None:
            yield f"{region} {item}: new, {price.usd:g} USD per {price.unit}"
        elif before.usd != price.usd:
            change = f", {price.usd / before.usd - 1:+.0%}" if before.usd else ""
            yield f"{region} {item}: {before.usd:g} -> {price.usd:g} USD per {price.unit}{change}"

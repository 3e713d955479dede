"""The price table beside this module: AWS's unit prices, validated as a whole when it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from mlp.shared.errors import PlatformError

FORMAT = 1
FILE = Path(__file__).with_name("prices.json")
GLOBAL = "global"
"""Placeholder for every region, for a price that is the same everywhere."""

ITEMS: Mapping[str, str] = {
    "alb/hours": "hour",
    "alb/lcu": "LCU-hour",
    "cloudwatch/alarm": "month",
    "ebs/gp3": "GB-month",
    "ebs/gp3-iops": "IOPS-month",
    "ebs/gp3-throughput": "MiBps-month",
    "ec2-spot/*": "hour",
    "ec2/*": "hour",
    "ecr/storage": "GB-month",
    "eks/cluster": "hour",
    "eks/cluster-extended-support": "hour",
    "kms/key": "month",
    "kms/requests": "10,000 requests",
    "logs/delivery-to-s3": "GB",
    "logs/ingestion": "GB",
    "logs/parquet": "GB",
    "logs/storage": "GB-month",
    "nat/gateway": "hour",
    "nat/traffic": "GB",
    "rds-postgres/*": "hour",
    "rds/backup": "GB-month",
    "rds/gp3": "GB-month",
    "route53/queries": "million queries",
    "route53/zone": "month",
    "s3/reads": "1,000 requests",
    "s3/standard": "GB-month",
    "s3/writes": "1,000 requests",
    "secrets/requests": "10,000 requests",
    "secrets/secret": "month",
    "transfer/internet": "GB",
    "transfer/zones": "GB",
    "vpc/interface-endpoint": "hour",
    "vpc/interface-endpoint-traffic": "GB",
    "vpc/public-ipv4": "hour",
    "waf/acl": "month",
    "waf/requests": "million requests",
    "waf/rule": "month",
}
"""Unit by priced item; `*` is the name of an instance type or class."""

_REMEDY = "fix it or restore the committed one"


class Price(BaseModel, frozen=True, extra="forbid"):
    """Price of one unit before taxes and discounts, its source, and the day on which it was read there."""

    usd: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
    unit: str
    source: str = Field(pattern=r"^https://\S+$")
    as_of: date
    note: str | None = None


@dataclass(frozen=True)
class Prices:
    """Prices by region and item."""

    regions: Mapping[str, Mapping[str, Price]]

    def find(self, region: str, item: str) -> Price | None:
        """Return the price of `item` in `region`, or the global one; None if it is not known."""
        return self.regions.get(region, {}).get(item) or self.regions.get(GLOBAL, {}).get(item)


def unit_of(item: str) -> str | None:
    """Return the unit in which `item` is priced; None for an unknown item."""
    group, _, name = item.partition("/")
    return ITEMS.get(item) or (ITEMS.get(f"{group}/*") if name and name != "*" else None)


def load(path: Path = FILE) -> Prices:
    """Return the price table in `path`. Raise PlatformError, with every error of the file, for an invalid one."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlatformError(f"{path.name} cannot be read: {error}; {_REMEDY}") from error
    return parse(text, path.name)


def parse(text: str, name: str) -> Prices:
    """Return the price table that `text` holds, called `name` in messages; raise as `load` does."""
    faults: list[str] = []
    try:
        found = json.loads(text, object_pairs_hook=lambda pairs: _without_duplicates(pairs, faults))
    except json.JSONDecodeError as error:
        raise PlatformError(f"{name} is not JSON: {error}; {_REMEDY}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        form = found.get("format") if isinstance(found, dict) else None
        raise PlatformError(f"{name} has format {form!r}, and this version of mlp reads format {FORMAT}; {_REMEDY}")
    regions = found.get("prices")
    if not isinstance(regions, dict):
        raise PlatformError(f"{name}: `prices` must map regions to prices (got {regions!r}); {_REMEDY}")
    table = {region: _region(region, items, faults) for region, items in regions.items()}
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise PlatformError("\n  ".join([f"{name} has {count}; {_REMEDY}:", *faults]))
    return Prices(table)


def as_text(prices: Prices) -> str:
    """Return the table as its file holds it: sorted, a price a line, so that a diff shows each price that changed."""
    lines = [f'{{\n"format": {FORMAT},\n"prices": {{']
    for region, items in sorted(prices.regions.items()):
        entries = (
            f"  {json.dumps(item)}: {json.dumps(price.model_dump(mode='json', exclude_none=True))}"
            for item, price in sorted(items.items())
        )
        lines += [f" {json.dumps(region)}: {{", ",\n".join(entries), " },"]
    lines[-1] = lines[-1].removesuffix(",")
    return "\n".join([*lines, "}\n}\n"])


def _without_duplicates(pairs: list[tuple[str, Any]], faults: list[str]) -> dict[str, Any]:
    """Return the pairs as a dict, and report duplicate keys, of which JSON would keep the last."""
    unique = dict(pairs)
    if len(unique) < len(pairs):
        keys = [key for key, _ in pairs]
        faults += [f"{key} is there {keys.count(key)} times; keep one" for key in unique if keys.count(key) > 1]
    return unique


def _region(region: str, items: object, faults: list[str]) -> dict[str, Price]:
    if not isinstance(items, dict):
        faults.append(f"prices.{region} must map items to prices (got {items!r})")
        return {}
    table: dict[str, Price] = {}
    for item, fields in items.items():
        key = f"prices.{region}.{item}"
        unit = unit_of(item)
        if unit is None:
            faults.append(f"{key} is no item of the bill; the items are {', '.join(ITEMS)}")
            continue
        try:
            price = Price.model_validate(fields)
        except ValidationError as error:
            faults += [_fault(key, one) for one in error.errors(include_url=False)]
            continue
        if price.unit != unit:
            faults.append(f"{key}.unit: must be {unit!r} (got {price.unit!r})")
        table[item] = price
    return table


def _fault(key: str, error: Mapping[str, Any]) -> str:
    path = ".".join([key, *(str(part) for part in error["loc"])])
    return (
        f"{path}: {error['msg']}" if error["type"] == "missing" else f"{path}: {error['msg']} (got {error['input']!r})"
    )

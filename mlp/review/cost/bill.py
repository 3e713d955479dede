"""The price of a plan: of every resource in a month while nothing runs, and of an hour's work.

All of it is computed from plain data, so that a committed plan can be priced as well as a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mlp.plan.planned import ProgramPlan
from mlp.review.cost.assumptions import Assumptions
from mlp.review.cost.nodes import JobPrice, NodePool, NodePrice, job_prices, node_pools, node_prices, standing_needs
from mlp.review.cost.prices import Price, Prices, unit_of
from mlp.review.cost.rules import Found, Landscape, Need, Unpriced, free_types, needs
from mlp.shared.errors import PlatformError

AREAS = ("Cluster", "Nodes", "Database", "Network", "Entrance", "Storage", "Logs", "Security")
_PROVIDER = "pulumi:providers:aws"
_BUDGET = "aws:budgets/budget:Budget"
_MIN_REPORTED_USD = {"month": 0.005, "hour": 0.00005}
"""Smallest change that is reported, in USD for a month or an hour."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """A quantity of something in a month, at a price. `assumed` names what the quantity depends on."""

    area: str
    name: str
    detail: str
    quantity: float
    price: Price
    assumed: str

    @property
    def usd(self) -> float:
        """Return its price in USD a month."""
        return self.quantity * self.price.usd


@dataclass(frozen=True, kw_only=True)
class Bill:
    """The price of a stack. `note` explains why there is nothing to pay where there is nothing."""

    stack: str
    region: str
    items: tuple[Item, ...] = ()
    """Priced items, ordered by area."""
    nodes: tuple[NodePrice, ...] = ()
    jobs: tuple[JobPrice, ...] = ()
    unpriced: tuple[Unpriced, ...] = ()
    free: Mapping[str, str] = field(default_factory=dict)
    """Planned types that cost nothing, and why."""
    assumptions: Assumptions = field(default_factory=Assumptions)
    budget_usd: float | None = None
    note: str = ""

    @property
    def idle_usd(self) -> float:
        """Return the price in USD of a month without training, before taxes and unpriced resources."""
        return sum(item.usd for item in self.items)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of price, in USD for a month or an hour (`per`); `before` or `after` is None without such a price."""

    area: str
    name: str
    before: float | None
    after: float | None
    per: str

    @property
    def usd(self) -> float:
        """Return the increase in USD."""
        return (self.after or 0.0) - (self.before or 0.0)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The differences between a bill and an older one."""

    old: Bill
    new: Bill
    changes: tuple[Change, ...]
    newly_unpriced: tuple[Unpriced, ...]


def bill(plans: Sequence[ProgramPlan], prices: Prices, assumptions: Assumptions | None = None) -> Bill:
    """Return the price of one stack's programs. Raise PlatformError for plans that name no AWS region."""
    stack, (region, emulated) = plans[0].stack, _place(plans)
    assumed = assumptions or Assumptions()
    if emulated:
        return Bill(stack=stack, region=region, note="runs on an AWS emulator of this machine and costs nothing",
                    assumptions=assumed)  # fmt: skip
    landscape = Landscape(plans=plans, assumed=assumed)
    found = list(needs(landscape))
    nodes: list[NodePrice] = []
    for pool in node_pools(landscape):
        if isinstance(pool, NodePool):
            nodes += node_prices(pool, prices, region)
            found += standing_needs(pool, prices, region)
        else:
            found.append(pool)
    found += _without_price(nodes, prices, region)
    items, unpriced = _priced(found, prices, region)
    return Bill(
        stack=stack,
        region=region,
        items=items,
        nodes=tuple(nodes),
        jobs=tuple(job_prices(plans, nodes)),
        unpriced=unpriced,
        free=free_types(landscape),
        assumptions=assumed,
        budget_usd=next((limit for plan in plans if (limit := budget_limit(plan)) is not None), None),
    )


def budget_limit(plan: ProgramPlan) -> float | None:
    """Return the monthly budget in USD that the plan sets; None without one."""
    for budget in plan.of_type(_BUDGET):
        if budget.inputs.get("timeUnit") == "MONTHLY" and budget.inputs.get("limitUnit") == "USD":
            return float(budget.inputs["limitAmount"])
    return None


def difference(old: Bill, new: Bill) -> Difference:
    """Return what costs more or less in `new`, if the bill's digits show it, in the bill's order."""
    changes = [*_changes(_monthly(old), _monthly(new), "month"), *_changes(_hourly(old), _hourly(new), "hour")]
    known = set(old.unpriced)
    return Difference(
        old=old,
        new=new,
        changes=tuple(changes),
        newly_unpriced=tuple(one for one in new.unpriced if one not in known),
    )


def _place(plans: Sequence[ProgramPlan]) -> tuple[str, bool]:
    """Return the region, and whether it is an emulator's."""
    for provider in (entry for plan in plans for entry in plan.of_type(_PROVIDER)):
        if region := provider.inputs.get("region"):
            return str(region), bool(provider.inputs.get("endpoints"))
    raise PlatformError(
        f"the plan of {plans[0].stack} names no AWS region, and prices differ by region; make the plan again"
    )


def _priced(found: Iterable[Found], prices: Prices, region: str) -> tuple[tuple[Item, ...], tuple[Unpriced, ...]]:
    wanted: dict[tuple[str, str, str], Need] = {}
    unpriced: dict[Unpriced, None] = {}
    for one in found:
        if isinstance(one, Unpriced):
            unpriced[one] = None
            continue
        key = (one.area, one.name, one.item)
        wanted[key] = _sum(wanted[key], one) if key in wanted else one
    items = []
    for need in sorted(wanted.values(), key=lambda one: AREAS.index(one.area)):
        price = prices.find(region, need.item)
        if price is None:
            unpriced[_no_price(f"{need.area}: {need.name}", need.item, region)] = None
        else:
            items.append(
                Item(
                    area=need.area,
                    name=need.name,
                    detail=need.detail,
                    quantity=need.quantity,
                    price=price,
                    assumed=need.assumed,
                )
            )
    return tuple(items), tuple(unpriced)


def _sum(one: Need, other: Need) -> Need:
    detail = "; ".join(dict.fromkeys(filter(None, (one.detail, other.detail))))
    return replace(one, quantity=one.quantity + other.quantity, detail=detail)


def _no_price(what: str, item: str, region: str) -> Unpriced:
    hint = f"`mlp cost --refresh --region {region}` asks AWS" if unit_of(item) else "the table has no such item"
    return Unpriced(what, f"no price of {item} in {region}; {hint}")


def _without_price(nodes: Iterable[NodePrice], prices: Prices, region: str) -> Iterable[Unpriced]:
    for node in nodes:
        for group in ("ec2", "ec2-spot"):
            item = f"{group}/{node.instance_type}"
            if prices.find(region, item) is None:
                yield _no_price(f"{node.pool} nodes", item, region)


def _monthly(of: Bill) -> dict[tuple[str, str], float]:
    prices: dict[tuple[str, str], float] = {}
    for item in of.items:
        prices[item.area, item.name] = prices.get((item.area, item.name), 0.0) + item.usd
    return prices


def _hourly(of: Bill) -> dict[tuple[str, str], float]:
    nodes = {("Nodes", f"{one.pool} {one.instance_type}, {one.bought}"): one.usd for one in of.nodes}
    return {key: usd for key, usd in nodes.items() if usd is not None}


def _changes(old: Mapping[tuple[str, str], float], new: Mapping[tuple[str, str], float], per: str) -> Iterable[Change]:
    order = dict.fromkeys((*new, *old))
    for area, name in sorted(order, key=lambda key: AREAS.index(key[0])):
        before, after = old.get((area, name)), new.get((area, name))
        change = Change(area=area, name=name, before=before, after=after, per=per)
        if abs(change.usd) >= _MIN_REPORTED_USD[per]:
            yield change

"""The price of a plan's nodes: of those that always run, and of one more in an hour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from infra.facts.instance_types import INSTANCE_TYPES
from mlp.plan.planned import ProgramPlan
from mlp.review.cost.prices import Price, Prices
from mlp.review.cost.rules import HOURS, Found, Landscape, Need, Unpriced
from mlp.review.node_groups import node_groups
from mlp.review.ray_jobs import JOB, ray_manifest

_FREE_IOPS, _FREE_MIBPS = 3000, 125
"""IOPS and MiB/s of a gp3 volume without extra cost
(https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html)."""
_SECONDS_AN_HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class NodePool:
    """A node group. `disk` is the monthly need of one node's disks."""

    name: str
    instance_types: tuple[str, ...]
    spot: bool
    min_size: int
    disk: tuple[Need, ...]


@dataclass(frozen=True, kw_only=True)
class NodePrice:
    """Price in USD of an hour of one node of type `instance_type`, disks included; None if unknown."""

    pool: str
    instance_type: str
    gpus: int
    bought: str
    on_demand_usd: float | None
    spot_usd: float | None

    @property
    def usd(self) -> float | None:
        """Return the price in USD an hour, spot or on demand as the pool buys; None if unknown."""
        return self.spot_usd if self.bought == "spot" else self.on_demand_usd

    @property
    def usd_per_gpu(self) -> float | None:
        """Return the price in USD an hour of one of its GPUs; None without GPUs."""
        return self.usd / self.gpus if self.usd is not None and self.gpus else None


@dataclass(frozen=True, kw_only=True)
class JobPrice:
    """Price of a training job on the GPU pool, at its dearest instance type: an hour, and at most."""

    name: str
    gpus: int
    usd_per_hour: float
    deadline_hours: float | None

    @property
    def usd_at_most(self) -> float | None:
        """Return its price in USD when it runs until its deadline."""
        return self.usd_per_hour * self.deadline_hours if self.deadline_hours is not None else None


def node_pools(landscape: Landscape) -> Iterator[NodePool | Unpriced]:
    """Yield the node groups, and an Unpriced for each part that cannot be priced."""
    for group in node_groups(one for plan in landscape.plans for one in plan.resources.values()):
        disk = tuple(_disks(group.name, group.disks))
        if not disk:
            yield Unpriced(f"disks of {group.name} nodes", "no launch template of the plan names them")
        yield NodePool(
            name=group.name,
            instance_types=group.instance_types,
            spot=group.spot,
            min_size=group.min_size,
            disk=disk,
        )


def _disks(pool: str, disks: Sequence[Mapping[str, Any]]) -> Iterator[Need]:
    for ebs in disks:
        kind, size = ebs.get("volumeType", "gp2"), float(ebs.get("volumeSize", 0))
        yield Need("Nodes", f"{pool} disks", f"ebs/{kind}", size, detail=f"{size:g} GB {kind} a node")
        if iops := max(0, ebs.get("iops", 0) - _FREE_IOPS):
            yield Need("Nodes", f"{pool} disks, IOPS", f"ebs/{kind}-iops", iops, detail=f"above {_FREE_IOPS}")
        if mibps := max(0, ebs.get("throughput", 0) - _FREE_MIBPS):
            yield Need(
                "Nodes",
                f"{pool} disks, throughput",
                f"ebs/{kind}-throughput",
                mibps,
                detail=f"above {_FREE_MIBPS} MiB/s",
            )


def node_prices(pool: NodePool, prices: Prices, region: str) -> Iterator[NodePrice]:
    """Yield the price of one more node, by instance type."""
    monthly = [(need.quantity, prices.find(region, need.item)) for need in pool.disk]
    disk = sum(quantity * price.usd for quantity, price in monthly if price) / HOURS
    whole = all(price for _, price in monthly)  # half a node has no price
    for type_ in pool.instance_types:
        on_demand, spot = prices.find(region, f"ec2/{type_}"), prices.find(region, f"ec2-spot/{type_}")
        yield NodePrice(
            pool=pool.name,
            instance_type=type_,
            gpus=INSTANCE_TYPES[type_].gpus if type_ in INSTANCE_TYPES else 0,
            bought="spot" if pool.spot else "on demand",
            on_demand_usd=_and(on_demand if whole else None, disk),
            spot_usd=_and(spot if whole else None, disk),
        )


def _and(price: Price | None, disk: float) -> float | None:
    return price.usd + disk if price else None


def standing_needs(pool: NodePool, prices: Prices, region: str) -> Iterator[Found]:
    """Yield the monthly needs of the pool's minimum size.

    On demand, the first instance type is taken. Which spot type AWS gives is not known, so the dearest is counted.
    """
    group = "ec2-spot" if pool.spot else "ec2"
    chosen, detail = pool.instance_types[:1], "on demand"
    if pool.spot:
        known = {
            type_: price.usd for type_ in pool.instance_types if (price := prices.find(region, f"{group}/{type_}"))
        }
        chosen = (max(known, key=known.__getitem__),) if known else chosen
        detail = f"spot, the dearest of {len(known)}" if len(known) > 1 else "spot"
    for type_ in chosen:
        yield Need(
            "Nodes",
            f"{pool.name} nodes",
            f"{group}/{type_}",
            HOURS * pool.min_size,
            detail=f"{pool.min_size} x {type_}, {detail}",
        )
    for need in pool.disk:
        if pool.min_size or prices.find(region, need.item) is None:
            yield replace(need, quantity=need.quantity * pool.min_size)


def job_prices(plans: Sequence[ProgramPlan], nodes: Sequence[NodePrice]) -> Iterator[JobPrice]:
    """Yield the price of each RayJob among the plans' outputs; none without a GPU pool whose price is known."""
    per_gpu = max((node.usd_per_gpu for node in nodes if node.usd_per_gpu is not None), default=None)
    for job in (output for plan in plans for output in plan.outputs.values()):
        if per_gpu is None or not isinstance(job, Mapping) or job.get("kind") != JOB:
            continue
        ray = ray_manifest(job)
        gpus = sum(group.gpus for group in ray.workers)
        yield JobPrice(
            name=ray.name,
            gpus=gpus,
            usd_per_hour=gpus * per_gpu,
            deadline_hours=ray.deadline_s / _SECONDS_AN_HOUR if ray.deadline_s else None,
        )

"""Check whether the pods of a plan fit its nodes: those that always run at minimum size, the others up to maximum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from mlp.plan.planned import ProgramPlan
from mlp.review.capacity.nodes import NodePool, node_pools
from mlp.review.capacity.packing import Cluster, Node, admits, fits, requested
from mlp.review.capacity.planned_pods import planned_workloads
from mlp.review.capacity.pods import Amounts, Runs, Workload
from mlp.review.capacity.quantities import CPU, DISK, GPU, MEMORY, PODS, shown

_MAX_NAMES = 3
FORMAT = 1
"""Version of the data that `as_data` returns."""


@dataclass(frozen=True, kw_only=True)
class PoolUse:
    """The requests on a pool at its minimum size, and what its nodes can allocate."""

    pool: NodePool
    nodes: int
    requested: Amounts
    allocatable: Amounts
    survives_a_loss: bool | None
    """Whether the pods still fit with one node less; None for a pool without nodes."""

    def percent(self, resource: str) -> int:
        """Return how much of a resource is requested, in percent."""
        there = self.allocatable.get(resource, 0)
        return round(100 * self.requested.get(resource, 0) / there) if there else 0


@dataclass(frozen=True, kw_only=True)
class BusyUse:
    """The temporary pods of one source, and the nodes that they need beyond the minimum."""

    source: str
    pods: int
    added: Mapping[str, int]
    """Number of added nodes by pool."""


@dataclass(kw_only=True)
class CapacityReport:
    """The verdict on one stack. `faults` name what cannot run, and why."""

    stack: str
    pools: list[PoolUse]
    standing: int
    """Number of pods that always run, those of daemon sets included."""
    busy: list[BusyUse] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """Return the verdict in one line."""
        if self.faults:
            count = len(self.faults)
            return f"{self.stack}: {count} {'fault' if count == 1 else 'faults'}: {self.faults[0]}"
        uses = [_use_in_words(use) for use in self.pools if use.nodes]
        verb = "pod fits" if self.standing == 1 else "pods fit"
        return f"{self.stack}: {self.standing} {verb} the nodes; {'; '.join(uses) or 'none is always there'}"

    def as_data(self) -> dict[str, Any]:
        """Return the report as JSON data; CPU in millicores, memory in bytes."""
        return {
            "format": FORMAT,
            "stack": self.stack,
            "fits": not self.faults,
            "faults": self.faults,
            "standing_pods": self.standing,
            "pools": [
                {
                    "name": use.pool.name,
                    "instance_types": list(use.pool.instance_types),
                    "nodes": {"min": use.pool.min_size, "max": use.pool.max_size},
                    "allocatable_per_node": dict(use.pool.allocatable),
                    "requested": dict(use.requested),
                    "allocatable": dict(use.allocatable),
                    "survives_a_loss": use.survives_a_loss,
                }
                for use in self.pools
            ],
            "busy": [{"source": one.source, "pods": one.pods, "added_nodes": dict(one.added)} for one in self.busy],
        }


def capacity(plans: Sequence[ProgramPlan]) -> CapacityReport:
    """Check the plans of one stack's programs, the platform's first.

    Raise PlatformError where pods or nodes cannot be determined from them.
    """
    pools = [pool for plan in plans for pool in node_pools(plan)]
    workloads = planned_workloads(plans)
    faults = [fault for pool in pools if (fault := _overcommitted(pool, workloads))]
    schedulable = []
    for one in workloads:
        if fault := _unschedulable(one, pools, workloads):
            faults.append(fault)
        else:
            schedulable.append(one)
    standing = [one for one in schedulable if one.runs is Runs.ALWAYS]
    min_sizes = {pool.name: pool.min_size for pool in pools}

    cluster = Cluster(pools, schedulable, min_sizes)
    unplaced = cluster.place(standing)
    if unplaced:
        faults.append(_min_size_fault(unplaced, standing, schedulable, pools, min_sizes))
    return CapacityReport(
        stack=plans[0].stack,
        pools=[_use(cluster, pool, schedulable, standing, min_sizes) for pool in pools],
        standing=sum(len(node.pods) for node in cluster.nodes),
        busy=list(_busy_uses(pools, schedulable, standing, min_sizes, faults)),
        faults=faults,
    )


def _use(
    cluster: Cluster,
    pool: NodePool,
    workloads: Sequence[Workload],
    standing: Sequence[Workload],
    min_sizes: Mapping[str, int],
) -> PoolUse:
    nodes = [node for node in cluster.nodes if node.pool is pool]
    without_one = {**min_sizes, pool.name: min_sizes[pool.name] - 1}
    return PoolUse(
        pool=pool,
        nodes=len(nodes),
        requested=requested([pod for node in nodes for pod in node.pods]),
        allocatable={key: count * len(nodes) for key, count in pool.allocatable.items()},
        survives_a_loss=not Cluster(cluster.pools, workloads, without_one).place(standing) if nodes else None,
    )


def _busy_uses(
    pools: Sequence[NodePool],
    workloads: Sequence[Workload],
    standing: Sequence[Workload],
    min_sizes: Mapping[str, int],
    faults: list[str],
) -> Iterable[BusyUse]:
    """Yield the use of each source of temporary pods, placed alone beside the pods that always run."""
    coming = [one for one in workloads if one.runs is Runs.WHEN_BUSY]
    for source, group in groupby(coming, key=lambda one: one.source):
        busy = list(group)
        cluster = Cluster(pools, workloads, min_sizes)
        if cluster.place(standing, grow=True):
            return  # reported already
        before = {pool.name: cluster.size(pool) for pool in pools}
        unplaced = cluster.place(busy, grow=True)
        if unplaced:
            faults.append(
                f"{_names(unplaced)}: unschedulable beside the pods that always run, even with every pool at its "
                f"maximum ({_sizes({pool.name: pool.max_size for pool in pools})}); raise max_size or request less"
            )
        added = {pool.name: cluster.size(pool) - before[pool.name] for pool in pools}
        yield BusyUse(
            source=source,
            pods=sum(one.replicas for one in busy),
            added={name: count for name, count in added.items() if count},
        )


def _min_size_fault(
    unplaced: Sequence[Workload],
    standing: Sequence[Workload],
    workloads: Sequence[Workload],
    pools: Sequence[NodePool],
    min_sizes: Mapping[str, int],
) -> str:
    grown = Cluster(pools, workloads, min_sizes)
    more = grown.place(standing, grow=True)
    needed = {pool.name: grown.size(pool) for pool in pools if grown.size(pool) > min_sizes[pool.name]}
    advice = (
        f"even the maximum sizes ({_sizes({pool.name: pool.max_size for pool in pools})}) leave out {_names(more)}"
        if more
        else f"they need {_sizes(needed)} nodes: raise min_size to that, or request less"
    )
    return (
        f"the minimum sizes ({_sizes(min_sizes)}) do not fit all pods that always run; unschedulable: "
        f"{_names(unplaced)}; {advice}"
    )


def _overcommitted(pool: NodePool, workloads: Sequence[Workload]) -> str | None:
    """Return why the daemon sets alone exceed a node of `pool`; None where they fit."""
    node = _empty_node(pool, workloads)
    short = [resource for resource, left in node.free.items() if left < 0]
    if not short:
        return None
    daemons = [one for one in workloads if one.runs is Runs.ON_EVERY_NODE and one.pod in node.pods]
    largest = max(daemons, key=lambda one: one.pod.requests.get(short[0], 0))
    return (
        f"a node of pool {pool.name} ({', '.join(pool.instance_types)}) does not fit its daemon sets: they request "
        f"{_amounts(requested(node.pods))} of {_amounts(pool.allocatable)}, the most of it {largest.name} with "
        f"{_amounts(largest.pod.requests)}"
    )


def _empty_node(pool: NodePool, workloads: Sequence[Workload]) -> Node:
    """Return a node with nothing but its daemon sets."""
    return Cluster([pool], workloads, {pool.name: 1}).nodes[0]


def _unschedulable(workload: Workload, pools: Sequence[NodePool], workloads: Sequence[Workload]) -> str | None:
    """Return why no node can ever hold one pod of `workload`; None where one can, and for a daemon set."""
    if workload.runs is Runs.ON_EVERY_NODE:
        return None
    empty = [(pool, _empty_node(pool, workloads)) for pool in pools]
    admitting = [(pool, node) for pool, node in empty if admits(pool, workload.pod) is None]
    if any(fits(workload.pod, node.free) for _, node in admitting):
        return None
    asked = f"{workload.name} requests {_amounts(workload.pod.requests)} and no node can fit it"
    if not admitting:
        reasons = "; ".join(f"pool {pool.name} has {admits(pool, workload.pod)}" for pool in pools)
        return f"{asked}: {reasons or 'there is no node pool'}"
    pool, node = max(admitting, key=lambda one: _available_share(workload, one[1]))
    others = [f"pool {one.name} has {reason}" for one in pools if (reason := admits(one, workload.pod))]
    return (
        f"{asked}: the nodes of pool {pool.name} ({', '.join(pool.instance_types)}) have at most "
        f"{_amounts(node.free)} beside their daemon sets" + "".join(f"; {one}" for one in others)
    )


def _available_share(workload: Workload, node: Node) -> float:
    """Return the share of the request that a node could give, by its scarcest resource."""
    return min((node.free[key] / count for key, count in workload.pod.requests.items() if count), default=1.0)


def _use_in_words(use: PoolUse) -> str:
    parts = [
        f"{resource} {shown(resource, use.requested.get(resource, 0))} of "
        f"{shown(resource, use.allocatable[resource])} ({use.percent(resource)} %)"
        for resource in (CPU, MEMORY)
    ]
    return f"{use.pool.name} {use.nodes} x {use.pool.instance_types[0]}: {', '.join(parts)}"


def _amounts(amounts: Amounts) -> str:
    order = {CPU: 0, MEMORY: 1, GPU: 2, DISK: 3, PODS: 4}
    named = sorted(amounts.items(), key=lambda item: (order.get(item[0], 9), item[0]))
    parts = [f"{key} {shown(key, count)}" for key, count in named if count and key not in (DISK, PODS)]
    return ", ".join(parts) or "nothing"


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sizes.items())


def _names(workloads: Iterable[Workload]) -> str:
    """Return the first few names: pods are placed in descending size, so these are the largest."""
    counts = Counter(one.name for one in workloads)
    names = [name if count == 1 else f"{name} ({count} pods)" for name, count in counts.items()]
    more = [f"{len(names) - _MAX_NAMES} more"] if len(names) > _MAX_NAMES else []
    return ", ".join(names[:_MAX_NAMES] + more)

"""The capacity of a stack for people: at a terminal, and in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlp.review.capacity.fit import BusyUse, CapacityReport, PoolUse
from mlp.review.capacity.quantities import CPU, GPU, MEMORY, PODS, shown
from mlp.review.report import Section, escaped, table

_COLUMNS = ("pool", "nodes", "CPU", "memory", "GPU", "pods")


def rendered(report: CapacityReport) -> RenderableType:
    """Return the report for a terminal."""
    return Group(_details(report), Text(report.summary(), style="bold"))


def section(report: CapacityReport) -> Section:
    """Return the report as a section of a change's report, unfolded if it has faults."""
    notes = (*_notes(report), *(f"cannot run: {fault}" for fault in report.faults))
    return Section(
        title="Capacity",
        summary=report.summary(),
        body=(
            *table(_COLUMNS, (_row(use) for use in report.pools)),
            "\n".join(f"- {escaped(note)}" for note in notes),
        ),
        rendered=_details(report),
        unfolded=bool(report.faults),
    )


def as_markdown(report: CapacityReport) -> str:
    """Return the report in GitHub's Markdown."""
    return "\n\n".join([escaped(report.summary()), *section(report).body]) + "\n"


def _details(report: CapacityReport) -> Group:
    pools = Table(title=f"capacity of {report.stack}", title_justify="left", box=None)
    for column in _COLUMNS:
        pools.add_column(column)
    for use in report.pools:
        pools.add_row(*_row(use))
    faults = [Text.assemble(("cannot run: ", "red"), fault) for fault in report.faults]
    return Group(pools, *(Text(line) for line in _notes(report)), *faults)


def _row(use: PoolUse) -> tuple[str, ...]:
    pool = use.pool
    amounts = (_taken(use, resource) for resource in (CPU, MEMORY, GPU, PODS))
    return (pool.name, f"{pool.min_size} to {pool.max_size}", *amounts)


def _taken(use: PoolUse, resource: str) -> str:
    """Return what is requested of the minimum nodes; what one node can allocate where there is none."""
    if not use.nodes:
        return f"{shown(resource, use.pool.allocatable[resource])} a node"
    there = use.allocatable[resource]
    if not there:
        return "none"
    taken = f"{shown(resource, use.requested.get(resource, 0))}/{shown(resource, there)}"
    return taken if resource == PODS else f"{taken} ({use.percent(resource)} %)"


def _notes(report: CapacityReport) -> Iterator[str]:
    for use in report.pools:
        yield f"{use.pool.name} ({', '.join(use.pool.instance_types)}): {_loss(use)}"
    for one in report.busy:
        yield f"{one.source}, when busy: {one.pods} {'pod' if one.pods == 1 else 'pods'}{_added(one)}"


def _loss(use: PoolUse) -> str:
    if use.survives_a_loss is None:
        return "no pod runs on it"
    if use.survives_a_loss:
        return "when a node is lost, its pods fit the others"
    return "when a node is lost, some pods wait for a new one"


def _added(use: BusyUse) -> str:
    if not use.added:
        return " in the remaining capacity"
    return " on " + ", ".join(f"{count} more of pool {name}" for name, count in use.added.items())

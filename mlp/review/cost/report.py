"""A bill, and the difference of two, for people and for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlp.review.cost.assumptions import Assumptions
from mlp.review.cost.bill import Bill, Change, Difference, Item
from mlp.review.cost.nodes import NodePrice
from mlp.review.report import Section

FORMAT = 1
"""Version of the data that `as_data` returns."""
_CENTS, _DIGITS = 2, 4


def as_data(bill: Bill) -> dict[str, Any]:
    """Return the bill in plain values; amounts in USD before taxes, rounded to a hundredth of a cent."""
    return {
        "format": FORMAT,
        "stack": bill.stack,
        "region": bill.region,
        "note": bill.note,
        "idle_usd_per_month": round(bill.idle_usd, _DIGITS),
        "budget_usd_per_month": bill.budget_usd,
        "items": [_item_data(item) for item in bill.items],
        "nodes": [
            {
                "pool": node.pool,
                "instance_type": node.instance_type,
                "gpus": node.gpus,
                "bought": node.bought,
                "spot_usd_per_hour": _rounded(node.spot_usd),
                "on_demand_usd_per_hour": _rounded(node.on_demand_usd),
                "usd_per_gpu_hour": _rounded(node.usd_per_gpu),
            }
            for node in bill.nodes
        ],
        "jobs": [
            {
                "name": job.name,
                "gpus": job.gpus,
                "usd_per_hour": _rounded(job.usd_per_hour),
                "usd_at_most": _rounded(job.usd_at_most),
            }
            for job in bill.jobs
        ],
        "unpriced": [{"what": one.what, "reason": one.reason} for one in bill.unpriced],
        "free": dict(bill.free),
        "assumptions": bill.assumptions.model_dump(),
    }


def rendered(bill: Bill) -> RenderableType:
    """Return the bill for a terminal: the price of a month and of work, what is unknown and what is assumed."""
    title = Text.assemble((f"{bill.stack} in {bill.region}", "bold"))
    if bill.note:
        return Text(f"{bill.stack}: {bill.note}")
    parts: list[RenderableType] = [title, _months(bill)]
    if bill.nodes:
        parts.append(_hours(bill.nodes))
    if bill.jobs:
        parts.append(_jobs(bill))
    if bill.unpriced:
        rows = ((one.what, one.reason) for one in bill.unpriced)
        parts.append(_table("Not in the sums", [("what", False), ("why", False)], rows))
    parts.append(_assumed(bill))
    if bill.items:
        days = [item.price.as_of for item in bill.items]
        parts.append(Text(f"Prices as they were read from {min(days)} to {max(days)}, before taxes and free tiers."))
    return Group(*(each for part in parts for each in (part, Text())))


def as_rows(difference: Difference) -> list[tuple[str, str, str, str, str]]:
    """Return area, item, price before, price after and change of all that changed, then a month's sum, as text."""
    rows = [_row(change) for change in difference.changes]
    before, after = difference.old.idle_usd, difference.new.idle_usd
    return [*rows, ("", "a month, idle", _usd(before), _usd(after), f"{after - before:+,.{_CENTS}f}")]


def as_markdown(difference: Difference) -> str:
    """Return the difference for a comment on a change: the sums, then a table of what changed."""
    *rows, (_, _, before, after, change) = as_rows(difference)
    if not rows and not difference.newly_unpriced:
        return f"**{difference.new.stack}** costs {after} USD a month when idle, as before.\n"
    lines = [f"**{difference.new.stack}** costs {after} USD a month when idle; it was {before} ({change})."]
    if rows:
        lines += ["", "| | item | before | after | USD |", "| --- | --- | ---: | ---: | ---: |"]
        lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    if difference.newly_unpriced:
        lines += ["", "Not in the sums:", ""]
        lines += [f"- {one.what}: {one.reason}" for one in difference.newly_unpriced]
    return "\n".join(lines) + "\n"


def section(bill: Bill, change: Difference | None) -> Section:
    """Return the price as a section of a change's report, with its changes."""
    if bill.note:
        return Section(title="Price", summary=bill.note)
    summary = f"{_usd(bill.idle_usd)} USD a month when idle"
    if change:
        summary += f" ({change.new.idle_usd - change.old.idle_usd:+,.{_CENTS}f})"
    if bill.budget_usd is not None:
        summary += f", of a budget of {_usd(bill.budget_usd)}"
    if bill.unpriced:
        summary += f", and {len(bill.unpriced)} without a price"
    if change is None or not (change.changes or change.newly_unpriced):
        return Section(title="Price", summary=summary)
    body = as_markdown(change).partition("\n")[2].strip()
    return Section(title="Price", summary=summary, body=(body,), rendered=rendered_difference(change))


def rendered_difference(difference: Difference) -> RenderableType:
    """Return the difference for a terminal."""
    columns = [("", False), ("item", False), ("before", True), ("after", True), ("USD", True)]
    return _table(f"{difference.new.stack}: price", columns, as_rows(difference))


def _item_data(item: Item) -> dict[str, Any]:
    return {
        "area": item.area,
        "name": item.name,
        "detail": item.detail,
        "quantity": _rounded(item.quantity),
        "unit": item.price.unit,
        "usd_per_unit": item.price.usd,
        "usd_per_month": _rounded(item.usd),
        "assumed": item.assumed or None,
        "source": item.price.source,
        "as_of": item.price.as_of.isoformat(),
    }


def _months(bill: Bill) -> Table:
    columns = [("", False), ("", False), ("amount", True), ("", False), ("USD each", True), ("USD a month", True)]
    table = _table("A month, idle: every pool at its smallest size", columns, [])
    for area, group in groupby(bill.items, key=lambda item: item.area):
        items = list(group)
        _total(table, area, sum(item.usd for item in items))
        for item in items:
            _add(table, _month_row(item))
    _total(table, "idle", bill.idle_usd)
    if bill.budget_usd is not None:
        _total(table, "budget", bill.budget_usd)
    return table


def _total(table: Table, name: str, usd: float) -> None:
    table.add_row(name, "", "", "", "", _usd(usd), style="bold")


def _month_row(item: Item) -> Sequence[str]:
    unit = f"{item.price.unit}{' (assumed)' if item.assumed else ''}"
    return f"  {item.name}", item.detail, f"{item.quantity:,.2f}", unit, _fine(item.price.usd), _usd(item.usd)


def _hours(nodes: Iterable[NodePrice]) -> Table:
    columns = [("pool", False), ("instance type", False), ("GPUs", True), ("spot", True), ("on demand", True)]
    rows = (
        (
            node.pool,
            node.instance_type,
            str(node.gpus),
            _fine(node.spot_usd),
            _fine(node.on_demand_usd),
            node.bought,
            _fine(node.usd_per_gpu) if node.gpus else "",
        )
        for node in nodes
    )
    return _table(
        "An hour of one more node and its disk, USD", [*columns, ("bought", False), ("a GPU-hour", True)], rows
    )


def _jobs(bill: Bill) -> Table:
    columns = [("job", False), ("GPUs", True), ("USD an hour", True), ("USD at its deadline", True)]
    rows = ((job.name, str(job.gpus), _usd(job.usd_per_hour), _usd(job.usd_at_most)) for job in bill.jobs)
    return _table("Training, on the dearest GPUs", columns, rows)


def _assumed(bill: Bill) -> Table:
    """Return a table of the assumptions that this bill depends on."""
    fields, used = Assumptions.model_fields, {item.assumed for item in bill.items}
    rows = (
        (name, f"{value:,g}", fields[name].description or "")
        for name, value in bill.assumptions.model_dump().items()
        if name in used
    )
    columns = [("name", False), ("amount", True), ("what it is, in a month", False)]
    return _table("Assumed use; `--assume NAME=NUMBER` changes it", columns, rows)


def _table(title: str, columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table without lines; a column is its heading and whether it holds numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for heading, is_number in columns:
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=is_number)
    for row in rows:
        _add(table, row)
    return table


def _add(table: Table, row: Sequence[str]) -> None:
    table.add_row(*(Text(cell) for cell in row))  # a name may hold brackets, which are no markup


def _row(change: Change) -> tuple[str, str, str, str, str]:
    show: Callable[[float | None], str] = _fine if change.per == "hour" else _usd
    name = change.name if change.per == "month" else f"{change.name}, an hour"
    digits = _DIGITS if change.per == "hour" else _CENTS
    return change.area, name, show(change.before), show(change.after), f"{change.usd:+,.{digits}f}"


def _usd(amount: float | None) -> str:
    return "-" if amount is None else f"{amount:,.{_CENTS}f}"


def _fine(amount: float | None) -> str:
    return "-" if amount is None else f"{amount:,.{_DIGITS}f}"


def _rounded(amount: float | None) -> float | None:
    return None if amount is None else round(amount, _DIGITS)

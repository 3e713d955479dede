"""A bring-up's timeline for people: bars at a terminal, tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlp.review.report import Section, table
from mlp.review.timeline.critical_path import Step, Timeline, minutes

_BAR_WIDTH, _NAME_WIDTH = 24, 30
_MIN_SAVING_S = 10
_COLUMNS = ("resource", "starts", "takes", "slack")


def rendered(timeline: Timeline) -> RenderableType:
    """Return the timeline for a terminal: the critical path, then what takes longest beside it."""
    return Group(_details(timeline), Text(timeline.summary(), style="bold"))


def section(timeline: Timeline) -> Section:
    """Return the timeline as a section of a change's report."""
    parts: list[str] = []
    for title, steps in (("What decides", timeline.chain), ("Beside it", timeline.slowest_others())):
        parts += [f"{title}:", *table(_COLUMNS, (_cells(one) for one in steps if one.seconds))]
    advice = "\n".join(f"- {line}" for line in _advice(timeline))
    return Section(
        title=f"Bring-up of {timeline.program}",
        summary=timeline.summary(),
        body=tuple(filter(None, (*parts, advice))),
        rendered=_details(timeline),
    )


def as_markdown(timeline: Timeline) -> str:
    """Return the timeline in GitHub's Markdown."""
    return "\n\n".join([timeline.summary(), *section(timeline).body]) + "\n"


def _details(timeline: Timeline) -> Group:
    return Group(
        _table(f"{timeline.program} {timeline.stack}: what decides", timeline.chain, timeline.total, "red"),
        _table("what takes longest beside it", timeline.slowest_others(), timeline.total, "green"),
        *(Text(line) for line in _advice(timeline)),
    )


def _table(title: str, steps: Iterable[Step], total: int, colour: str) -> Table:
    bars = Table(title=title, title_justify="left", box=None)
    bars.add_column("resource", no_wrap=True, width=_NAME_WIDTH)
    for column in ("starts", "takes", "slack"):
        bars.add_column(column, justify="right", no_wrap=True)
    bars.add_column(f"0 to {minutes(total)}", no_wrap=True, width=_BAR_WIDTH)
    for step in steps:
        if step.seconds:
            bars.add_row(*_cells(step), _bar(step, total, colour))
    return bars


def _cells(step: Step) -> tuple[str, ...]:
    return (step.name, _clock(step.start), _clock(step.seconds), _clock(step.slack))


def _clock(seconds: int) -> str:
    """Return `seconds` as minutes and seconds: `12:05`."""
    return f"{seconds // 60}:{seconds % 60:02}"


def _bar(step: Step, total: int, colour: str) -> Text:
    before = min(step.start * _BAR_WIDTH // total, _BAR_WIDTH - 1)
    width = max(1, step.end * _BAR_WIDTH // total - before)
    return Text(" " * before + "█" * width, style=colour)


def _advice(timeline: Timeline) -> list[str]:
    """Return what would help most; some of it is impossible, since a value is needed."""
    return [
        f"{_name(one.then)} without {_name(one.first)} before it would save {minutes(one.saved)}"
        for one in timeline.unchain[:3]
        if one.saved >= _MIN_SAVING_S
    ]


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]

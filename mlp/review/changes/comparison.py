"""The comparison of a stack's plan with an earlier one: the sections on changes and dangers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from mlp.plan.planned import ProgramPlan, short_type
from mlp.review.changes.dangers import Danger, dangers
from mlp.review.changes.differences import KINDS, Kind, ProgramChanges, ResourceChange, compare, is_known_after
from mlp.review.changes.structure import ABSENT, FieldChange
from mlp.review.report import Section, code, table

_STYLES: dict[Kind, str] = {"created": "green", "replaced": "red", "changed": "yellow", "deleted": "red"}
_SIGNS: dict[Kind, str] = {"created": "+", "replaced": "±", "changed": "~", "deleted": "-"}
_RETAINED = "stays in the cloud, unmanaged"
_MAX_SHOWN = 60
"""Longest value on a line at a terminal, in characters."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The changes from the plans of `against`, a revision or the committed plan, to the present ones."""

    against: str
    programs: tuple[ProgramChanges, ...]
    dangers: tuple[Danger, ...]

    @property
    def summary(self) -> str:
        """Return the counts in a line: `3 created, 1 replaced, 0 changed, 0 deleted`."""
        counts = {kind: sum(one.counts[kind] for one in self.programs) for kind in KINDS}
        return _counted(counts, sum(len(one.moved) for one in self.programs))

    def as_data(self) -> dict[str, Any]:
        """Return `changes` and `dangers` in plain values."""
        return {
            "changes": {
                "against": self.against,
                "summary": self.summary,
                "programs": {one.program: one.as_data() for one in self.programs},
            },
            "dangers": [one.as_data() for one in self.dangers],
        }


def comparison(against: str, old: Sequence[ProgramPlan], new: Sequence[ProgramPlan]) -> Comparison:
    """Return the changes from `old`, the plans of `against`, to `new`."""
    programs = compare(old, new)
    return Comparison(against=against, programs=programs, dangers=dangers(programs))


def changes_sections(compared: Comparison) -> list[Section]:
    """Return the sections of a report: dangers first, then the changes in each program."""
    found = []
    if compared.dangers:
        found.append(
            Section(
                title="Dangerous changes",
                summary=f"{len(compared.dangers)} to look at before this is merged",
                body=tuple(_danger_pieces(compared.dangers)),
                rendered=_dangers_rendered(compared.dangers),
                unfolded=True,
            )
        )
    for one in compared.programs:
        counts = _counted({kind: count for kind, count in one.counts.items() if count}, len(one.moved)) or "no change"
        outputs = f", {len(one.outputs)} outputs differ" if one.outputs else ""
        found.append(
            Section(
                title=one.program.capitalize(),
                summary=counts + outputs,
                body=tuple(_program_pieces(one)),
                rendered=_program_rendered(one) if one.resources or one.outputs else None,
            )
        )
    return found


def _counted(counts: Mapping[Kind, int], moved: int) -> str:
    """Return the counts in words; `moved` are among both those created and those deleted."""
    words = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return f"{words} ({moved} deleted here and created there)" if moved else words


def _danger_pieces(found: Sequence[Danger], *, a_piece: int = 20) -> Iterator[str]:
    lines = [f"> - {code(one.name)} ({short_type(one.type)}): {code(one.message, longest=600)}" for one in found]
    for start in range(0, len(lines), a_piece):
        yield "\n".join(["> [!CAUTION]", *lines[start : start + a_piece]])


def _dangers_rendered(found: Sequence[Danger]) -> Table:
    grid = Table(box=None, show_header=False, pad_edge=False)
    for one in found:
        grid.add_row(
            Text("!", "bold red"), Text(one.name, "bold"), Text(short_type(one.type), "dim"), Text(one.message)
        )
    return grid


def _program_pieces(one: ProgramChanges) -> Iterator[str]:
    for kind in KINDS:
        changes = [change for change in one.resources if change.kind == kind]
        if kind in ("created", "deleted"):
            rows = [(code(change.entry.name), short_type(change.entry.type), _remark(change)) for change in changes]
            yield from table((f"{kind} ({len(changes)})", "type", ""), rows)
        else:
            for change in changes:
                if not change.follows:
                    yield from _resource_pieces(change)
            rows = [
                (code(change.entry.name), short_type(change.entry.type), ", ".join(map(code, change.forced_by)))
                for change in changes
                if change.follows
            ]
            yield from table(("replaced with what it refers to", "type", "because of"), rows)
    if one.outputs:
        yield "outputs"
        yield from table(("output", "before", "after"), map(_row, one.outputs))


def _remark(change: ResourceChange) -> str:
    """Return a remark on a created or deleted resource; empty where there is none."""
    remarks = []
    if change.moved:
        remarks.append(f"moved: the other half is {'created' if change.kind == 'deleted' else 'deleted'}")
    elif change.entry.protect:
        remarks.append("protected")
    if change.retained:
        remarks.append(_RETAINED)
    elif change.kind == "deleted" and change.entry.deleted_with:
        remarks.append(f"goes with {change.entry.deleted_with.rpartition('::')[2]}")
    return ", ".join(remarks)


def _resource_pieces(change: ResourceChange) -> Iterator[str]:
    fields = [one for one in change.fields if not _is_text(one) and not is_known_after(one)]
    yield f"{change.kind} {code(change.entry.name)} ({short_type(change.entry.type)}){_because(change, code)}"
    yield from table(("field", "before", "after"), map(_row, fields))
    for one in change.fields:
        if _is_text(one):
            # As in the value itself, so that nothing in it ends the block.
            fence = "~~~~~~"
            yield (
                f"{code(one.path)}\n{fence}diff\n" + "\n".join(_text_lines(one)).replace(fence, "~ ~ ~") + f"\n{fence}"
            )


def _because(change: ResourceChange, shown: Any) -> str:
    if change.forced_by:
        order = "; it is deleted before the new one is made" if change.deleted_first else ""
        left = f"; the old one: {_RETAINED}" if change.retained else ""
        return f", because of {', '.join(shown(one) for one in change.forced_by)}{order}{left}"
    return "; the provider may replace it" if change.perhaps_replaced else ""


def _row(change: FieldChange) -> tuple[str, str, str]:
    return code(change.path), _cell(change.old), _cell(change.new)


def _cell(value: Any) -> str:
    return "" if value is ABSENT else code(_plain(value))


def _plain(value: Any) -> str:
    if value is ABSENT:
        return "(none)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _is_text(change: FieldChange) -> bool:
    """Return whether the change is one within a longer text, a script or a manifest."""
    return all(isinstance(one, str) and "\n" in one for one in (change.old, change.new))


def _text_lines(change: FieldChange, most: int = 80) -> list[str]:
    lines = list(unified_diff(change.old.splitlines(), change.new.splitlines(), lineterm="", n=1))[2:]
    lines = [line if len(line) <= 160 else f"{line[:159]}…" for line in lines]
    return lines if len(lines) <= most else [*lines[:most], f"({len(lines) - most} more lines)"]


def _program_rendered(one: ProgramChanges) -> Group:
    lines: list[Text] = []
    for change in one.resources:
        lines.append(
            Text.assemble(
                (f"{_SIGNS[change.kind]} {change.kind} ", _STYLES[change.kind]),
                (change.entry.name, "bold"),
                f" {short_type(change.entry.type)}",
                (_because(change, str) if change.old else f" {_remark(change)}", "red" if change.forced_by else "dim"),
            )
        )
        for field in change.fields:
            if is_known_after(field):
                continue
            if _is_text(field):
                lines.append(Text(f"    {field.path}:"))
                lines += [Text(f"      {line}", "dim") for line in _text_lines(field)]
            else:
                lines.append(_field_line(field))
    if one.outputs:
        lines += [Text("outputs"), *map(_field_line, one.outputs)]
    return Group(*lines)


def _field_line(field: FieldChange) -> Text:
    before, after = (_plain(value) for value in (field.old, field.new))
    clipped = [" ".join(one.split()) for one in (before, after)]
    clipped = [one if len(one) <= _MAX_SHOWN else f"{one[: _MAX_SHOWN - 1]}…" for one in clipped]
    return Text.assemble(f"    {field.path}: ", (clipped[0], "red"), " -> ", (clipped[1], "green"))

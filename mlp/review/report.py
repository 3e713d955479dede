"""A report on a change for its reviewers: sections with a summary each, in Markdown and for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

LIMIT = 65_536
"""Longest comment on GitHub, in characters (https://github.com/orgs/community/discussions/27190)."""
_NOTE_LENGTH = 400


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section of a report. `body` are pieces of Markdown, each complete: too long a body is cut between them.

    `rendered` is the same for a terminal. A section whose `summary` is complete has neither. `unfolded` is for what
    nobody may overlook.
    """

    title: str
    summary: str
    body: tuple[str, ...] = ()
    rendered: RenderableType | None = None
    unfolded: bool = False


def markdown(title: str, summary: str, sections: Sequence[Section], *, limit: int = LIMIT) -> str:
    """Return a comment of at most `limit` characters: every summary, and as much of the bodies as fits."""
    head = f"**{title}**: {summary}\n"
    left = limit - _NOTE_LENGTH - len(head) - sum(len(_section(one, ())) for one in sections)
    cut = []
    # What may not be overlooked comes before all else that could take its place.
    kept: dict[int, tuple[str, ...]] = {}
    for number, section in sorted(enumerate(sections), key=lambda one: not one[1].unfolded):
        pieces = []
        for piece in section.body:
            if len(piece) + 2 > left:
                break
            pieces.append(piece)
            left -= len(piece) + 2
        kept[number] = tuple(pieces)
        if len(pieces) < len(section.body):
            cut.append(f"{section.title} ({len(section.body) - len(pieces)} of {len(section.body)} parts)")
    parts = [_section(section, kept[number]) for number, section in enumerate(sections)]
    note = f"\nCut to the length of a comment: {', '.join(cut)}. `mlp plan` shows all of it.\n" if cut else ""
    return head + "".join(parts) + note[:_NOTE_LENGTH]


def _section(section: Section, body: tuple[str, ...]) -> str:
    text = "".join(f"{piece}\n\n" for piece in body)
    if not section.body:
        return f"\n**{section.title}**: {section.summary}\n"
    if section.unfolded:
        return f"\n**{section.title}**: {section.summary}\n\n{text}"
    return f"\n<details><summary><b>{section.title}</b>: {escaped(section.summary)}</summary>\n\n{text}</details>\n"


def rendered(title: str, summary: str, sections: Iterable[Section]) -> RenderableType:
    """Return the report for a terminal."""
    parts: list[RenderableType] = [Text.assemble("\n", (title, "bold"), f": {summary}")]
    for one in sections:
        parts.append(Text.assemble("\n", (one.title, "bold red" if one.unfolded else "bold"), f": {one.summary}"))
        if one.rendered is not None:
            parts.append(one.rendered)
    return Group(*parts)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, rows_a_piece: int = 40) -> tuple[str, ...]:
    """Return Markdown tables of `rows`, several where one would be too long to cut; cells are Markdown already."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    top = f"| {' | '.join(head)} |\n|{' --- |' * len(head)}\n"
    return tuple(top + "\n".join(lines[start : start + rows_a_piece]) for start in range(0, len(lines), rows_a_piece))


def code(value: str, *, longest: int = 200) -> str:
    """Return `value` as inline code, shortened and without anything that Markdown would interpret."""
    text = " ".join(value.split())
    text = text if len(text) <= longest else f"{text[: longest - 1]}…"
    text = text.replace("|", "\\|")
    fence = "``" if "`" in text else "`"
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text.replace('``', '` `')}{pad}{fence}" if text else "(empty)"


def escaped(text: str) -> str:
    """Return `text` escaped for HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

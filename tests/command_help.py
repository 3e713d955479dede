"""The first lines of a command's help, as lists of commands show them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

LONGEST = 60


def first_lines(app: typer.Typer) -> dict[str, str]:
    """The first line of each command's and each group's help, by what a user types."""
    return dict(_first_lines(typer.main.get_command(app), ""))


def faults(lines: dict[str, str]) -> list[str]:
    """Those that are no short sentence."""
    return [
        f"{name}: {line}"
        for name, line in lines.items()
        if len(line) > LONGEST or not line[:1].isupper() or not line.endswith((".", '".'))
    ]


def _first_lines(command: Any, name: str) -> Iterator[tuple[str, str]]:
    """`command` is one of Click's, of which Typer has a copy of its own."""
    if name:
        yield name, (command.help or "").strip().split("\n")[0]
    for sub_name, sub_command in getattr(command, "commands", {}).items():
        yield from _first_lines(sub_command, f"{name} {sub_name}".strip())

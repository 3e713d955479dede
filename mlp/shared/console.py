"""Output of commands: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mlp.shared.files import write_whole

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

STDOUT = "-"
_WIDTH_WITHOUT_TERMINAL = 240
"""Width without a terminal, in characters: where nobody looks, lines are not to be broken."""


def console(*, stderr: bool = False) -> Console:
    """Return a console that draws on stdout or stderr, as wide as the terminal there."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr, highlight=False, emoji=False, width=None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL
    )


def show(what: RenderableType) -> None:
    """Print a table or a text on stdout."""
    console().print(what)


def write_text(target: str, text: str) -> None:
    """Write to stdout for `-`, else to a file, atomically."""
    if target == STDOUT:
        typer.echo(text, nl=False)
    else:
        write_whole(Path(target), text)


def write_json(target: str, data: Any) -> None:
    """Write the data as JSON to stdout for `-`, else to a file, atomically."""
    write_text(target, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def warn(messages: Iterable[str]) -> None:
    """Print each message once, on stderr."""
    for message in dict.fromkeys(messages):
        typer.echo(f"mlp: warning: {message}", err=True)

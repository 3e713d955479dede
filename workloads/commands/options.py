"""Arguments and printing that the commands share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from workloads.registry.versions import Version

WIDTH_WITHOUT_TERMINAL = 160

Config = Annotated[str, typer.Argument(metavar="CONFIG", help="A committed config's name, or the path of a yaml file.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a config key, for example optim.lr=0.1.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
NoTracking = Annotated[bool, typer.Option("--no-tracking", help="Keep no record on the tracking server.")]


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Print rows under a header, each on one line."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=box.SIMPLE)
    for row in rows:
        table.add_row(*row)
    # Lines that a program reads are not wrapped.
    Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL).print(table)


def accuracy(value: float | None) -> str:
    """Format an accuracy with four decimals, or `-` for None."""
    return "-" if value is None else f"{value:.4f}"


def identity(version: Version) -> dict[str, Any]:
    """Return the fields that identify a version in JSON."""
    return {"model_name": version.model_name, "version": version.number}

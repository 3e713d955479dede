"""Printing of a table by commands that also write it into a document, with `--update`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlp.shared import documents
from mlp.shared.checkout import REPOSITORY
from mlp.shared.errors import PlatformError

Update = Annotated[bool, typer.Option("--update", help="Write the table between its marks in FILE.")]
Document = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="The document to update; by default the one in docs.", dir_okay=False),
]


def print_or_write(table: str, marks: documents.Marks, *, update: bool, document: Path | None, committed: Path) -> None:
    """Print `table`, or with `update` write it into `document`, by default `committed`, and report that on stderr.

    Raises PlatformError for a document without `update`, and for one that cannot be updated.
    """
    if document is not None and not update:
        raise PlatformError(f"{document} is named without --update; run `{marks.command} {document}` to write it")
    if not update:
        typer.echo(table)
        return
    written = documents.update(document or committed, marks, table)
    typer.echo(documents.outcome(document or committed.relative_to(REPOSITORY), written=written), err=True)

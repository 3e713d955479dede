"""`mlp recover`: what a killed `pulumi up` or `pulumi destroy` left unfinished."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mlp.shared.console import STDOUT, show, write_json
from mlp.shared.errors import PlatformError

RECOVER_EXIT_CODE = 3


class ProgramName(StrEnum):
    """A program of this repository."""

    platform = "platform"
    workloads = "workloads"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("recover")(recover)


def recover(
    stack: Annotated[str, typer.Argument(metavar="ENV", help="The stack: dev or prod.")],
    program: Annotated[ProgramName, typer.Option(help="The program whose stack it is.")] = ProgramName.platform,
    apply: Annotated[
        bool, typer.Option("--apply", help="Put the state in order, and delete what is there in part.")
    ] = False,
    ids: Annotated[
        list[str] | None,
        typer.Option(
            "--id", metavar="NAME=ID", help="The id of what cannot be told, empty where there is none (again for more)."
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Look at the output of `pulumi stack export` in a file, not at the stack."),
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the answers as JSON; `-` is stdout.")
    ] = None,
) -> None:
    """Sort out what a killed `pulumi up` left unfinished.

    Reads the state's pending operations, looks in AWS how far each came, by your own credentials, and says what is
    right: adopt it by its id, delete it, wait, or forget it. With --apply that is done, by `pulumi`; then go on with
    `pulumi up --refresh`. Safe to repeat. Exit 3 while something is unfinished.
    """
    import time

    from mlp.engine.programs import PLATFORM, WORKLOADS
    from mlp.recovery import operation, report
    from mlp.recovery.exported import parse
    from mlp.recovery.pulumi import PulumiStack
    from mlp.shared.aws_session import UserClients
    from mlp.shared.progress import progress

    chosen = PLATFORM if program is ProgramName.platform else WORKLOADS
    chosen.config(stack)  # an unknown stack is the first thing to say
    given = _ids(ids or [])
    if state is not None and apply:
        raise PlatformError("--apply changes the stack, not a file; leave out --state")
    if state is not None:
        exported = parse(state.read_bytes(), str(state))
        result = operation.Recovered(answers=operation.look(exported, UserClients, given, progress()), applied=False)
    else:
        result = operation.recover(
            PulumiStack(stack, chosen.folder),
            UserClients,
            given,
            progress(),
            apply=apply,
            pause=lambda: time.sleep(operation.PAUSE_S),
        )
    if json_file is not None:
        write_json(json_file, report.as_data(result))
    if json_file != STDOUT:
        which = "" if program is ProgramName.platform else f" --program {program.value}"
        where = "" if program is ProgramName.platform else " --cwd stacks/workloads"
        show(report.table(result.answers))
        for line in report.next_steps(
            result, f"mlp recover {stack}{which}", f"pulumi up --refresh --stack {stack}{where}"
        ):
            typer.echo(line)
    if result.open:
        raise typer.Exit(RECOVER_EXIT_CODE)


def _ids(given: list[str]) -> dict[str, str]:
    """Return the ids by name. Raise PlatformError for one that is not NAME=ID."""
    pairs = [one.partition("=") for one in given]
    for (name, sign, _), text in zip(pairs, given, strict=True):
        if not sign or not name:
            raise PlatformError(f"--id {text!r}: must be NAME=ID, or NAME= where AWS has none")
    return {name: id_ for name, _, id_ in pairs}

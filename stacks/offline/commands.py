"""`mlp plan` and `mlp policy`: what an environment would be, without an account."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stacks.files import write_whole

if TYPE_CHECKING:
    from stacks.offline.engine import Deployment

POLICY_EXIT_CODE = 3

Stack = Annotated[str, typer.Argument(metavar="ENV", help="The stack: dev, prod or local.")]


def register(app: typer.Typer) -> None:
    """Add the offline commands to `app`."""
    app.command("plan")(plan)
    app.command("policy")(policy)
    app.command("settings")(settings)


def plan(
    stack: Stack,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the plan as JSON; `-` is stdout.")
    ] = None,
) -> None:
    """Show every resource that `pulumi up` would create, offline."""
    from rich.console import Console

    from stacks.offline import plan as planning

    deployments = planning.plan(stack)
    _warn(deployments)
    if json_file is None:
        Console().print(planning.rendered(deployments))
        return
    text = json.dumps(planning.as_data(deployments), indent=2, sort_keys=True) + "\n"
    if json_file == "-":
        typer.echo(text, nl=False)
    else:
        write_whole(Path(json_file), text)


def policy(stack: Stack) -> None:
    """Check the platform's rules against what an environment would be; exit 3 when one is broken."""
    from policies.rules import RULES
    from stacks.offline import plan as planning

    deployments = planning.plan(stack)
    _warn(deployments)
    broken = planning.violations(deployments)
    for violation in broken:
        typer.echo(f"{violation.rule}: {violation.message}")
    count = sum(len(one.resources) for one in deployments)
    typer.echo(f"{stack}: {len(RULES)} rules, {count} resources, {len(broken)} violations")
    if broken:
        raise typer.Exit(POLICY_EXIT_CODE)


def settings(
    update: Annotated[
        Path | None,
        typer.Option(
            "--update", metavar="FILE", help="Write the table between its marks in FILE, the README.", dir_okay=False
        ),
    ] = None,
) -> None:
    """Show every setting of a stack file: what it may be, its default, what it is."""
    from stacks import settings_table

    if update is None:
        typer.echo(settings_table.settings_table())
    else:
        typer.echo(f"{update}: {'written' if settings_table.update(update) else 'is current'}", err=True)


def _warn(deployments: Sequence[Deployment]) -> None:
    """Tell on stderr what the programs warned of."""
    for message in dict.fromkeys(message for one in deployments for message in one.warnings):
        typer.echo(f"mlp: warning: {message}", err=True)

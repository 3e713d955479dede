"""`mlp policy` and `mlp policies`: an environment checked against the platform's rules, and the rules themselves."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import typer

from mlp.commands.tables import Document, Update, print_or_write
from mlp.shared.console import STDOUT, warn, write_json

POLICY_EXIT_CODE = 3


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("policy")(policy)
    app.command("policies")(policies)


def policy(
    stack: Annotated[str, typer.Argument(metavar="ENV", help="The stack: dev, prod or local.")],
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the verdict as JSON; `-` is stdout.")
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option("--as-of", metavar="DATE", formats=["%Y-%m-%d"], help="Judge as on that day, not as today."),
    ] = None,
) -> None:
    """Check an environment against the platform's rules.

    Offline; exit 3 when one is broken.
    """
    from mlp.plan import planning
    from mlp.plan.planned import program_plan
    from mlp.review.cost import prices
    from mlp.review.cost.bill import bill
    from mlp.review.policy.verdict import context_of, verdict

    deployments = planning.plan(stack)
    warn(message for one in deployments for message in one.warnings)
    day = as_of.date() if as_of else date.today()  # noqa: DTZ011  the day of whoever asks
    usd = bill([program_plan(one) for one in deployments], prices.load()).idle_usd
    result = verdict(deployments, context_of(deployments, today=day, monthly_usd=usd))
    if json_file is None:
        for line in result.lines():
            typer.echo(line)
    else:
        write_json(json_file, result.as_data())
        if json_file != STDOUT:
            typer.echo(result.summary, err=True)
    if result.broken:
        raise typer.Exit(POLICY_EXIT_CODE)


def policies(update: Update = False, document: Document = None) -> None:
    """Show every rule, and its level in each environment.

    The table in docs/policies.md.
    """
    from mlp.review.policy.table import DOCUMENT, MARKS, policy_table

    print_or_write(policy_table(), MARKS, update=update, document=document, committed=DOCUMENT)

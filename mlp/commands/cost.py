"""`mlp cost`: an environment's cost, without an account; and new prices, with one."""

from __future__ import annotations

from typing import Annotated

import typer

from mlp.shared.console import show, write_json
from mlp.shared.errors import PlatformError
from mlp.shared.files import write_whole


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("cost")(cost)


def cost(
    stack: Annotated[str | None, typer.Argument(metavar="[ENV]", help="The stack: dev, prod or local.")] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the bill as JSON; `-` is stdout.")
    ] = None,
    assume: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="Use in a month, in place of ours (again for another)."),
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="First ask AWS for its prices, with your login.")] = False,
    region: Annotated[str, typer.Option(help="The region whose prices are asked for.")] = "us-east-1",
) -> None:
    """Show what an environment costs a month.

    Offline: when idle, and what an hour of work costs.
    """
    if stack is None and not refresh:
        raise PlatformError("name the stack to price, as in `mlp cost dev`; or --refresh to ask AWS for its prices")
    if refresh:
        _refresh(region)
    if stack is not None:
        _show(stack, json_file, assume or [])


def _show(stack: str, json_file: str | None, assume: list[str]) -> None:
    from mlp.plan import planning as plan
    from mlp.plan.planned import program_plan
    from mlp.review.cost import bill as costs
    from mlp.review.cost import prices
    from mlp.review.cost import report as cost_report
    from mlp.review.cost.assumptions import assume as assumed

    assumptions, table = assumed(assume), prices.load()  # faults in them are told before the plan is made
    bill = costs.bill([program_plan(one) for one in plan.plan(stack)], table, assumptions)
    if json_file is None:
        show(cost_report.rendered(bill))
    else:
        write_json(json_file, cost_report.as_data(bill))


def _refresh(region: str) -> None:
    from datetime import UTC, datetime

    from mlp.review.cost import price_list, prices
    from mlp.shared.aws_session import UserClients

    asked = price_list.refreshed(
        prices.load(),
        region=region,
        pricing=UserClients(price_list.REGION_OF_THE_LIST)("pricing"),
        ec2=UserClients(region)("ec2"),
        today=datetime.now(UTC).date(),
    )
    write_whole(prices.FILE, prices.as_text(asked.prices))
    for line in asked.report_lines():
        typer.echo(line, err=True)

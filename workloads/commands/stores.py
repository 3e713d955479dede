"""Commands for data sets, and for metrics that the tracking server has not received."""

from __future__ import annotations

from typing import Annotated

import typer

from workloads.environment import PlatformEnvironment

data_app = typer.Typer(no_args_is_help=True, help="Find and fetch data sets.")
tracking_app = typer.Typer(no_args_is_help=True, help="Send records that the tracking server lacks.")


@data_app.command("find")
def data_find(name: Annotated[str, typer.Argument(help="Name of the data set.")]) -> None:
    """Print the folder that holds a data set."""
    from workloads.data.datasets import find

    typer.echo(find(name, PlatformEnvironment.read()))


@data_app.command("fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="Name of the data set.")]) -> None:
    """Download a data set from its authors and verify it.

    It goes into the data folder (MLP_DATA); print its location.
    """
    from workloads.data.fetch import fetch

    typer.echo(fetch(name, PlatformEnvironment.read()))


@tracking_app.command("send")
def tracking_send(
    run: Annotated[str, typer.Argument(help="Name of a run, or the file that holds its record.")],
) -> None:
    """Send what the tracking server has not received of a run.

    Sending twice changes nothing.
    """
    from workloads.tracking.unsent import send_unsent

    typer.echo(f"sent {send_unsent(PlatformEnvironment.read(), run)} values of {run}")

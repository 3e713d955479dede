"""Data sets, and records on their way to the tracking server."""

from __future__ import annotations

from typing import Annotated

import typer

from workloads.environment import PlatformEnvironment

data_app = typer.Typer(no_args_is_help=True, help="Data sets.")
tracking_app = typer.Typer(no_args_is_help=True, help="Records of runs on their way to the tracking server.")


@data_app.command("find")
def data_find(name: Annotated[str, typer.Argument(help="Name of the data set.")]) -> None:
    """Print the folder that holds a data set."""
    from workloads.data.datasets import find

    typer.echo(find(name, PlatformEnvironment.read()))


@data_app.command("fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="Name of the data set.")]) -> None:
    """Download a data set from its authors into the data folder (MLP_DATA), checked, and print where it is."""
    from workloads.data.fetch import fetch

    typer.echo(fetch(name, PlatformEnvironment.read()))


@tracking_app.command("send")
def tracking_send(
    run: Annotated[str, typer.Argument(help="Name of a run, or the file that holds its record.")],
) -> None:
    """Send what the tracking server did not take while a run trained; to do so twice changes nothing."""
    from workloads.tracking.unsent import send_unsent

    typer.echo(f"sent {send_unsent(PlatformEnvironment.read(), run)} values of {run}")

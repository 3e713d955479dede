"""Commands for data sets, and for metrics that the tracking server has not received."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from workloads.commands.options import Json
from workloads.environment import PlatformEnvironment

data_app = typer.Typer(no_args_is_help=True, help="Find, fetch and upload data sets.")
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


@data_app.command("push")
def data_push(
    name: Annotated[str, typer.Argument(help="Name of the data set.")],
    folder: Annotated[
        Path | None, typer.Option("--from", metavar="FOLDER", help="Folder that holds it; default: where it is found.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Upload a data set to S3, where jobs read it.

    It goes to the place that MLP_DATA names. It is read only once it is there whole. Uploading twice changes nothing.
    """
    from workloads.data.push import push

    done = push(name, PlatformEnvironment.read(), folder)
    if as_json:
        typer.echo(json.dumps(asdict(done)))
    else:
        typer.echo(
            f"{done.url} holds {name}: {done.num_files:,} files, {done.num_bytes / 1e6:,.1f} MB, "
            f"{done.num_uploaded:,} of them uploaded now"
        )


@tracking_app.command("send")
def tracking_send(
    run: Annotated[str, typer.Argument(help="Name of a run, or the file that holds its record.")],
) -> None:
    """Send what the tracking server has not received of a run.

    Sending twice changes nothing.
    """
    from workloads.tracking.unsent import send_unsent

    typer.echo(f"sent {send_unsent(PlatformEnvironment.read(), run)} values of {run}")

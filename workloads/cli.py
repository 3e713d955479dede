"""`python -m workloads`: train, search, evaluate, promote and query models; used by people, Ray jobs and DAGs."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

import typer

from workloads.commands import models, registry, search, stores, train
from workloads.environment import PlatformEnvironment
from workloads.errors import Preempted, Stopped, WorkloadError
from workloads.logs import configure_logging, is_json

app = typer.Typer(
    name="workloads",
    help="Train, search, evaluate, promote and query models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    train.train,
    search.tune,
    models.evaluate,
    models.predict,
    train.devices,
    train.validate,
):
    app.command()(command)
app.add_typer(registry.registry_app, name="registry")
app.add_typer(stores.data_app, name="data")
app.add_typer(stores.tracking_app, name="tracking")

RESTART = 75
"""Exit code of a run that was asked to stop and can be resumed: `EX_TEMPFAIL` of sysexits.h."""


def main() -> None:
    """Run `python -m workloads`; an error that the user can fix is one clear message on stderr and exit code 1."""
    from workloads.training.launch import end_with_launcher, is_rank, report_to_agent

    signal.signal(signal.SIGTERM, _stop)
    end_with_launcher()
    try:
        configure_logging(as_json=is_json(PlatformEnvironment.read()))
        app()
    except WorkloadError as error:
        if not report_to_agent(error):
            typer.echo(f"workloads: {error}", err=True)
        sys.exit(RESTART if isinstance(error, Preempted) else 1)
    except Stopped as stopped:
        _exit_by(signal.Signals(stopped.signal_number), reports=not is_rank())  # the launcher reports for all ranks
    except SystemExit as ended:
        if ended.code != 128 + signal.SIGINT:  # what typer makes of KeyboardInterrupt
            raise
        _exit_by(signal.SIGINT, reports=not is_rank())
    except OSError as error:  # a full or read-only disk, a folder that may not be written
        if error.filename is None and error.errno is None:
            raise
        where = error.filename or "write failed"
        typer.echo(f"workloads: {error.strerror}: {where}; free or unlock it and try again", err=True)
        sys.exit(1)


def _exit_by(signal_: signal.Signals, *, reports: bool) -> NoReturn:
    if reports:
        typer.echo(f"workloads: ended by {signal_.name}", err=True)
    sys.exit(128 + signal_)


def _stop(signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG001  a signal handler's signature
    raise Stopped(signal_number)

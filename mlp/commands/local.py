"""`mlp up`, `down`, `status`, `logs`, `env` and `quickstart`: the platform on this machine."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from mlp.shared.console import STDOUT, show, write_json

AsJson = Annotated[bool, typer.Option("--json", help="Write the result as JSON.")]
Ports = Annotated[
    list[str] | None,
    typer.Option("--port", metavar="SERVICE=N", help="Fix the port of a service (again for another)."),
]
Extras = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="EXTRA", help="Start an extra too: aws, an emulator with the local stack applied."),
]


def register(app: typer.Typer) -> None:
    """Add the commands of the local platform to `app`."""
    for command in (up, down, status, logs, env, quickstart):
        app.command(command.__name__)(command)


def up(port: Ports = None, extra: Extras = None, as_json: AsJson = False) -> None:
    """Start the platform on this machine; safe to repeat.

    What runs well is left alone.
    """
    from mlp.local import operations, report
    from mlp.local.home import find_home
    from mlp.shared.progress import progress

    home = find_home()
    with _terminated_as_interrupted():
        statuses = operations.up(home, port or [], progress(), extra or [])
    if as_json:
        write_json(STDOUT, report.as_data(home, statuses))
    else:
        show(report.table(statuses))
        typer.echo(report.how_to_log_in(home))


def down() -> None:
    """Stop the platform on this machine; its data stay."""
    from mlp.local import operations
    from mlp.local.home import find_home
    from mlp.shared.progress import progress

    stopped = operations.down(find_home(), progress())
    typer.echo(f"stopped: {', '.join(stopped)}" if stopped else "nothing runs")


def status(as_json: AsJson = False) -> None:
    """Tell what runs and how it is."""
    from mlp.local import operations, report
    from mlp.local.home import find_home
    from mlp.shared.progress import progress

    home = find_home()
    statuses = operations.status(home, progress())
    if as_json:
        write_json(STDOUT, report.as_data(home, statuses))
    else:
        show(report.table(statuses))


def logs(
    service: Annotated[str, typer.Argument(help="emulator, postgres, mlflow or ray.")],
    lines: Annotated[int, typer.Option(min=0, help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
) -> None:
    """Show the log of a service."""
    from mlp.local.home import find_home
    from mlp.local.logs import last_lines, lines_from, size
    from mlp.local.operations import SERVICE_NAMES
    from mlp.shared.errors import PlatformError

    if service not in SERVICE_NAMES:
        raise PlatformError(f"no service {service!r}; choose from {', '.join(SERVICE_NAMES)}")
    log = find_home().log(service)
    if not log.exists() and not follow:
        raise PlatformError(f"no log at {log} yet; `mlp up` starts {service}")
    end = size(log)
    for line in last_lines(log, lines, end=end):
        typer.echo(line)
    if follow:
        for line in lines_from(log, end):
            typer.echo(line)


def env(as_json: AsJson = False) -> None:
    """Print variables for a shell: eval "$(mlp env)".

    They point it at the running platform.
    """
    from mlp.local.env import environment, exports
    from mlp.local.home import find_home
    from mlp.local.operations import REQUIRED_NAMES

    variables = environment(find_home(), REQUIRED_NAMES)
    if as_json:
        write_json(STDOUT, variables)
    else:
        typer.echo(exports(variables), nl=False)


def quickstart() -> None:
    """Start the platform and run its main job on real data.

    Train, search, evaluate, register and predict.
    """
    from mlp.local import operations, report
    from mlp.local.env import environment
    from mlp.local.home import find_home
    from mlp.local.quickstart import Quickstart, WorkloadSteps
    from mlp.shared.progress import progress

    home, reporter = find_home(), progress()
    with _terminated_as_interrupted():
        statuses = operations.up(home, [], reporter)
        steps = WorkloadSteps(environment(home, operations.REQUIRED_NAMES))
        summary = Quickstart(steps, reporter).run()
    show(report.summary_table(summary, statuses, home))


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM unwind the block as Ctrl-C does, so that it stops what it started."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

"""`mlp charts`: the data of the pinned charts, and checks of the plan against them."""

from __future__ import annotations

import os
from typing import Annotated

import typer

FAULT_EXIT_CODE = 3

Environment = Annotated[list[str] | None, typer.Option("--env", metavar="ENV", help="A stack (again for another).")]


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    group = typer.Typer(
        name="charts", help="Fetch the data of the Helm charts, and check with it.", no_args_is_help=True
    )
    for command in (pull, check, render):
        group.command(command.__name__)(command)
    app.add_typer(group)


def pull(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Charts; all by default.")] = None,
) -> None:
    """Fetch the pinned charts from their repositories.

    They go into .mlp/charts, or where ML_PLATFORM_CHARTS points.
    """
    from mlp.charts import pull as pulling
    from mlp.charts.repositories import Repositories
    from mlp.charts.store import FOLDER_VARIABLE, find_store
    from mlp.local.home import find_home, prepare
    from mlp.shared.progress import progress

    wanted = pulling.chosen(names or [], pulling.pins())
    store = find_store()
    if not os.environ.get(FOLDER_VARIABLE):  # the platform's home is a folder that `mlp up` has to know again
        prepare(find_home())
    pulling.pull(wanted, store, Repositories(), progress())
    typer.echo(f"{len(wanted)} {'chart' if len(wanted) == 1 else 'charts'} in {store.folder}")


def check(environment: Environment = None) -> None:
    """Check releases and custom resources against the charts.

    Values by the charts' schemas and defaults; exit 3 when one is wrong.
    """
    from mlp.charts import check as checking
    from mlp.charts.pull import pins
    from mlp.charts.store import find_store
    from mlp.engine.programs import PLATFORM
    from mlp.plan import planning

    store, wrong = find_store(), False
    for stack in environment or PLATFORM.stacks():
        report = checking.check(planning.plan(stack), store, pins())
        for line in report.unchecked:
            typer.echo(f"mlp: not checked: {stack}: {line}", err=True)
        for line in report.faults:
            typer.echo(f"{stack}: {line}")
        typer.echo(
            f"{stack}: {report.releases} releases, {report.custom_resources} custom resources, "
            f"{len(report.faults)} faults, {len(report.unchecked)} not checked"
        )
        wrong = wrong or bool(report.faults)
    if wrong:
        raise typer.Exit(FAULT_EXIT_CODE)


def render(
    release: Annotated[str, typer.Argument(metavar="RELEASE", help="The release's name, such as mlflow.")],
    environment: Annotated[str, typer.Option("--env", metavar="ENV", help="The stack.")] = "prod",
) -> None:
    """Print what a release would put into the cluster.

    Rendered offline; exit 3 when Kubernetes would refuse it.
    """
    from mlp.charts import rendering
    from mlp.charts.store import find_store
    from mlp.plan import planning

    rendered = rendering.render_release(release, planning.plan(environment), find_store())
    typer.echo(rendered.text, nl=False)
    for line in rendered.unchecked:
        typer.echo(f"mlp: not checked: {line}", err=True)
    for line in rendered.faults:
        typer.echo(f"mlp: {environment} {release}: {line}", err=True)
    if rendered.faults:
        raise typer.Exit(FAULT_EXIT_CODE)

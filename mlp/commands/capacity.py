"""`mlp capacity` and `mlp timeline`: whether the pods fit the nodes, and how long bring-up takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mlp.shared.console import show, write_json

if TYPE_CHECKING:
    from mlp.plan.planned import ProgramPlan

MISFIT_EXIT_CODE = 3

Stack = Annotated[str, typer.Argument(metavar="ENV", help="The stack: dev, prod or local.")]
JsonFile = Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write it as JSON; `-` is stdout.")]


def register(app: typer.Typer) -> None:
    """Add the two commands to `app`."""
    app.command("capacity")(capacity)
    app.command("timeline")(timeline)


def capacity(stack: Stack, json_file: JsonFile = None) -> None:
    """Tell whether the pods fit the nodes.

    Offline; exit 3 when one cannot run.
    """
    from mlp.review.capacity import fit as judging

    report = judging.capacity(_plans(stack))
    if json_file is not None:
        write_json(json_file, report.as_data())
    else:
        from mlp.review.capacity.report import rendered

        show(rendered(report))
    if report.faults:
        raise typer.Exit(MISFIT_EXIT_CODE)


def timeline(stack: Stack, json_file: JsonFile = None) -> None:
    """Tell how long bring-up takes.

    Lists the steps that decide it, and how much slack the others have.
    """
    from mlp.review.timeline import critical_path

    timelines = [critical_path.timeline(plan) for plan in _plans(stack)]
    if json_file is not None:
        write_json(json_file, {"programs": [one.as_data() for one in timelines]})
        return
    from mlp.review.timeline.report import rendered

    for one in timelines:
        show(rendered(one))


def _plans(stack: str) -> Sequence[ProgramPlan]:
    from mlp.plan import planning
    from mlp.plan.planned import program_plan

    return [program_plan(one) for one in planning.plan(stack)]

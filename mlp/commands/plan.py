"""`mlp plan`, `mlp snapshot` and `mlp settings`: an environment's plan and settings, without an account."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from mlp.commands.tables import Document, Update, print_or_write
from mlp.shared import documents
from mlp.shared.checkout import REPOSITORY
from mlp.shared.console import show, warn, write_json, write_text

if TYPE_CHECKING:
    from mlp.plan.planned import ProgramPlan

Stack = Annotated[str, typer.Argument(metavar="ENV", help="The stack: dev, prod or local.")]


def register(app: typer.Typer) -> None:
    """Add the offline commands to `app`."""
    app.command("plan")(plan)
    app.command("snapshot")(snapshot)
    app.command("settings")(settings)


def plan(
    stack: Stack,
    against: Annotated[
        str | None,
        typer.Option(
            "--against", metavar="REVISION", help="Compare with a git revision, such as main, not the committed plan."
        ),
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the plan as JSON; `-` is stdout.")
    ] = None,
    markdown_file: Annotated[
        str | None, typer.Option("--markdown", metavar="FILE", help="Write what changes as Markdown; `-` is stdout.")
    ] = None,
) -> None:
    """Show every resource that `pulumi up` would create.

    Offline, with what changes, price, rules, capacity and time to bring up.
    """
    from mlp.engine.programs import PLATFORM
    from mlp.plan import planning
    from mlp.review import report
    from mlp.review.review import review

    PLATFORM.config(stack)  # an unknown stack is the first thing to say
    earlier = _earlier(stack, against)
    deployments = planning.plan(stack)
    warn(message for one in deployments for message in one.warnings)
    reviewed = review(deployments, earlier, today=date.today())  # noqa: DTZ011  the day of whoever asks
    title, summary = reviewed.headline()
    sections = reviewed.sections()
    if json_file is not None:
        write_json(json_file, planning.as_data(deployments, reviewed.as_data()))
    if markdown_file is not None:
        write_text(markdown_file, report.markdown(title, summary, sections))
    if json_file is None and markdown_file is None:
        show(planning.rendered(deployments))
        show(report.rendered(title, summary, sections))


def snapshot(
    stack: Annotated[
        str | None, typer.Argument(metavar="[ENV]", help="The stack: dev, prod or local; all of them by default.")
    ] = None,
) -> None:
    """Write the plans that are kept in stacks/plans.

    With production's also the example in docs/plans.md.
    """
    from mlp.engine.programs import PLATFORM
    from mlp.plan import planning
    from mlp.plan import snapshots as keeping
    from mlp.review import sample

    for one in [stack] if stack else PLATFORM.stacks():
        deployments = planning.plan(one)
        warn(message for one in deployments for message in one.warnings)
        plans = planning.program_plans(deployments)
        for name, state in keeping.write(one, plans).items():
            typer.echo(f"{name}: {state}")
        if one == sample.STACK:
            written = documents.update(sample.DOCUMENT, sample.MARKS, sample.sample(plans))
            typer.echo(documents.outcome(sample.DOCUMENT.relative_to(REPOSITORY), written=written))


def _earlier(stack: str, against: str | None) -> tuple[str, list[ProgramPlan]]:
    """Return the plans to compare with, and their name."""
    if against is not None:
        from mlp.plan.revisions import plans_of

        return against, plans_of(against, stack)
    from mlp.plan.snapshots import read

    return "the committed plan", read(stack)


def settings(update: Update = False, document: Document = None) -> None:
    """Show every setting of a stack file.

    What it may be, its default, what it is: the table in docs/settings.md.
    """
    from mlp.review.settings_table import DOCUMENT, MARKS, settings_table

    print_or_write(settings_table(), MARKS, update=update, document=document, committed=DOCUMENT)

"""Versions of a registered model and their aliases."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workloads.commands.options import Json, accuracy, identity, print_table
from workloads.environment import PlatformEnvironment
from workloads.errors import WorkloadError

if TYPE_CHECKING:
    from workloads.registry.versions import Version

PROMOTABLE = ("production", "staging")
registry_app = typer.Typer(no_args_is_help=True, help="Versions of a registered model and their aliases.")


@registry_app.command("list")
def registry_list(
    name: Annotated[str, typer.Argument(help="Name of the registered model.")], as_json: Json = False
) -> None:
    """List the versions of a model, newest first."""
    from workloads.registry.versions import versions_of
    from workloads.tracking.connection import connect

    versions = versions_of(connect(PlatformEnvironment.read()), name)
    if as_json:
        typer.echo(json.dumps({"model_name": name, "versions": [_listed(version) for version in versions]}))
        return
    rows = [
        [str(v.number), ", ".join(v.aliases) or "-", v.dataset, accuracy(v.val_accuracy), accuracy(v.test_accuracy),
         v.run_name]
        for v in versions
    ]  # fmt: skip
    print_table(["version", "aliases", "dataset", "val accuracy", "test accuracy", "run"], rows)


@registry_app.command("promote")
def registry_promote(
    name: Annotated[str, typer.Argument(help="Name of the registered model.")],
    version: Annotated[int, typer.Argument(help="Version number.")],
    to: Annotated[str, typer.Option(help="production or staging.")],
    minimum: Annotated[float, typer.Option(help="Least test accuracy, from 0 to 1.")] = 0.85,
    as_json: Json = False,
) -> None:
    """Give a version an alias if its test accuracy is high enough."""
    if to not in PROMOTABLE:
        raise WorkloadError(f"--to is {to}; it must be one of {', '.join(PROMOTABLE)}")
    if not 0 <= minimum <= 1:
        raise WorkloadError(f"--minimum is {minimum}; it must be from 0 to 1")
    from workloads.registry.promotion import archived, promote
    from workloads.tracking.connection import connect

    done = promote(connect(PlatformEnvironment.read()), name, version, to=to, minimum=minimum)
    if as_json:
        data = {"alias": to, "moved": done.moved, "replaced": done.replaced}
        typer.echo(json.dumps(identity(done.version) | data | {"test_accuracy": done.version.test_accuracy}))
    elif not done.moved:
        typer.echo(f"{name} version {version} is {to} already")
    else:
        was = ""
        if done.replaced is not None and to == "production":
            was = f"; version {done.replaced} was, and is now {archived(done.replaced)}"
        typer.echo(f"{name} version {version} is now {to} (test accuracy {accuracy(done.version.test_accuracy)}){was}")


def _listed(version: Version) -> dict[str, Any]:
    return {
        "version": version.number,
        "aliases": list(version.aliases),
        "run_id": version.run_id,
        "dataset": version.dataset,
        "val_accuracy": version.val_accuracy,
        "test_accuracy": version.test_accuracy,
    }

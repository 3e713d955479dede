"""Commands for the versions of a registered model and their aliases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workloads.commands.options import Json, accuracy, identity, print_table
from workloads.commands.registry_output import (
    comparison_data,
    move_data,
    print_comparison,
    print_moves,
    print_promotion,
    promotion_data,
    version_data,
)
from workloads.environment import PlatformEnvironment
from workloads.errors import RegistryError, WorkloadError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow import MlflowClient

    from workloads.registry.moves import Move

PROMOTABLE = ("production", "staging")
NOT_PROMOTED = 3
"""Exit code of a dry run whose verdict is not `promote`."""

registry_app = typer.Typer(no_args_is_help=True, help="Show versions of a model, and give them aliases.")
Name = Annotated[str, typer.Argument(help="Name of the registered model.")]
Number = Annotated[int, typer.Argument(metavar="VERSION", help="Version number.")]
By = Annotated[str | None, typer.Option(help="Who makes the move; by default this user and machine.")]
Why = Annotated[str, typer.Option(help="Reason that the history records.")]


@registry_app.command("list")
def registry_list(name: Name, as_json: Json = False) -> None:
    """List the versions of a model, newest first."""
    from workloads.registry.versions import versions_of
    from workloads.tracking.connection import connect

    environment = PlatformEnvironment.read()
    client = connect(environment)
    versions = versions_of(client, name)
    _warn_of_drift(environment, client, name)
    if as_json:
        typer.echo(json.dumps({"model_name": name, "versions": [version_data(version) for version in versions]}))
        return
    rows = [
        [str(v.number), ", ".join(v.aliases) or "-", v.dataset, accuracy(v.val_accuracy), accuracy(v.test_accuracy),
         v.run_name]
        for v in versions
    ]  # fmt: skip
    print_table(["version", "aliases", "dataset", "val accuracy", "test accuracy", "run"], rows)


@registry_app.command("show")
def registry_show(
    name: Name,
    version: Annotated[int | None, typer.Argument(help="Version number.")] = None,
    alias: Annotated[str | None, typer.Option(help="Alias of a version, instead of its number.")] = None,
    as_json: Json = False,
) -> None:
    """Show one version: its origin, its accuracy and its moves."""
    if (version is None) == (alias is None):
        raise WorkloadError("Name the version to show by its number or by --alias")
    from workloads.registry.moves import open_history
    from workloads.registry.versions import find_version, tags_of
    from workloads.tracking.connection import connect

    environment = PlatformEnvironment.read()
    client = connect(environment)
    found = find_version(client, name, version=version, alias=alias)
    tags = tags_of(client, found)
    verdicts = {key: tags.get(f"gate.{key}.verdict") for key in PROMOTABLE}
    moves: list[Move] = []
    if environment.registry:
        _warn_of_drift(environment, client, name)
        every = open_history(environment, name).moves()
        moves = [move for move in every if found.number in (move.from_version, move.to_version)]
    lineage = {key: getattr(found, key) for key in ("data_version", "code_version", "image_digest")}
    if as_json:
        data = version_data(found) | {"run_name": found.run_name} | lineage | {"verdicts": verdicts}
        typer.echo(json.dumps({"model_name": name} | data | {"moves": [move_data(move) for move in moves]}))
        return
    shown = {
        "aliases": ", ".join(found.aliases),
        "run": f"{found.run_name} ({found.run_id})",
        "dataset": found.dataset,
        **{key.replace("_", " "): value for key, value in lineage.items()},
        "val accuracy": accuracy(found.val_accuracy),
        "test accuracy": accuracy(found.test_accuracy),
        **{f"gate to {key}": value for key, value in verdicts.items()},
    }
    print_table([f"{name} version {found.number}", ""], [[key, value or "-"] for key, value in shown.items()])
    print_moves(moves)


@registry_app.command("register")
def registry_register(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a finished run.")],
    name: Annotated[str | None, typer.Option(help="Name of the model; by default the one in the run's config.")] = None,
    as_json: Json = False,
) -> None:
    """Make a version from the model that a run has logged."""
    from workloads.registry.register import register_run

    done = register_run(PlatformEnvironment.read(), run, name)
    if as_json:
        typer.echo(json.dumps(identity(done.version) | {"run_id": run, "is_new": done.is_new}))
    else:
        word = "is new" if done.is_new else "is of this run already"
        typer.echo(f"{done.version.model_name} version {done.version.number} {word}")


@registry_app.command("promote")
def registry_promote(
    name: Name,
    version: Number,
    to: Annotated[str, typer.Option(help="production or staging.")],
    rules: Annotated[Path | None, typer.Option(help="Yaml file of rules; by default the platform's own.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Decide and change nothing; exit 3 unless it may be promoted.")] = False,
    force: Annotated[bool, typer.Option(help="Promote whatever the gate decides; needs --why.")] = False,
    or_keep: Annotated[
        bool, typer.Option(help="If the gate refuses, keep the alias on its current version, and exit 0.")
    ] = False,
    why: Why = "",
    by: By = None,
    as_json: Json = False,
) -> None:
    """Give a version an alias if it passes the gate's rules."""
    if to not in PROMOTABLE:
        raise WorkloadError(f"--to is {to}; it must be one of {', '.join(PROMOTABLE)}")
    if force and not why.strip():
        raise WorkloadError("--force overrules the gate; give the reason by --why TEXT")
    if dry_run and (force or or_keep):
        raise WorkloadError("--dry-run changes nothing; --force and --or-keep do not go with it")
    from workloads.registry.moves import this_user
    from workloads.registry.promotion import promote
    from workloads.registry.rules import DEFAULT

    done = promote(
        PlatformEnvironment.read(), name, version, to=to, rules_file=rules or DEFAULT,
        by=by or this_user(), why=why, force=force, dry_run=dry_run,
    )  # fmt: skip
    _report_repaired(done.repaired)
    refused = done.verdict is not None and not done.verdict.passes and done.move is None
    kept = refused and or_keep and done.holder is not None
    if as_json:
        typer.echo(json.dumps(promotion_data(done)))
    elif not refused:
        print_promotion(done)
    elif dry_run or kept:
        typer.echo(str(done.verdict))
    if kept and not as_json:
        typer.echo(f"{name} version {done.holder} stays {to}")
    if refused and dry_run:
        raise typer.Exit(NOT_PROMOTED)
    if refused and not kept:
        raise RegistryError(str(done.verdict))


@registry_app.command("rollback")
def registry_rollback(name: Name, why: Why = "", by: By = None, as_json: Json = False) -> None:
    """Give production back to the version that had it before.

    Run it again to go back one more.
    """
    from workloads.registry.moves import this_user
    from workloads.registry.promotion import roll_back

    done = roll_back(PlatformEnvironment.read(), name, by=by or this_user(), why=why)
    _report_repaired(done.repaired)
    if as_json:
        typer.echo(json.dumps({"model_name": name, "move": move_data(done.move)}))
    else:
        typer.echo(
            f"{name} version {done.move.to_version} is production again; version {done.move.from_version} was "
            f"(move {done.move.seq})"
        )


@registry_app.command("history")
def registry_history(name: Name, as_json: Json = False) -> None:
    """Show every move of the model's aliases, oldest first.

    Each with who made it, when, why, and on what evidence.
    """
    from workloads.registry.moves import open_history

    moves = open_history(PlatformEnvironment.read(), name).moves()
    if as_json:
        typer.echo(json.dumps({"model_name": name, "moves": [move_data(move) for move in moves]}))
    elif moves:
        print_moves(moves)
    else:
        typer.echo(f"no alias of {name} was moved yet")


@registry_app.command("compare")
def registry_compare(
    name: Name,
    first: Annotated[int, typer.Argument(metavar="A", help="Version number.")],
    second: Annotated[int, typer.Argument(metavar="B", help="Another.")],
    as_json: Json = False,
) -> None:
    """Compare two versions on the test images of A's data set."""
    from workloads.registry.compare import compare

    done = compare(PlatformEnvironment.read(), name, first, second)
    if as_json:
        typer.echo(json.dumps(comparison_data(done)))
    else:
        print_comparison(done)


def _warn_of_drift(environment: PlatformEnvironment, client: MlflowClient, name: str) -> None:
    """Warn on stderr where the tracking server's aliases differ from the recorded moves."""
    if not environment.registry:
        return
    from workloads.registry.aliases import describe, drift
    from workloads.registry.moves import open_history

    changes = drift(client, name, open_history(environment, name))
    if changes:
        typer.echo(
            "workloads: the aliases differ from the history; the next `registry promote` or `registry rollback` "
            f"repairs them: {describe(changes)}",
            err=True,
        )


def _report_repaired(repaired: Mapping[str, int | None]) -> None:
    """Report on stderr the aliases that were repaired from the recorded moves."""
    from workloads.registry.aliases import describe

    if repaired:
        typer.echo(f"workloads: aliases repaired from the history: {describe(repaired)}", err=True)

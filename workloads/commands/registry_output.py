"""Output of the registry commands: tables and lines for people, plain values for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from workloads.commands.options import accuracy, identity, print_table

if TYPE_CHECKING:
    from workloads.registry.compare import Comparison
    from workloads.registry.moves import Move
    from workloads.registry.promotion import Promotion
    from workloads.registry.versions import Version


def print_promotion(done: Promotion) -> None:
    """Print the outcome of each rule, and what was done."""
    from workloads.registry.aliases import archived

    name, number = done.version.model_name, done.version.number
    if done.verdict is None:
        typer.echo(f"{name} version {number} is {done.alias} already")
        return
    for check in done.verdict.decision.checks:
        typer.echo(f"{check.outcome:9}  {check}")
    if done.move is None:
        typer.echo(f"{name} version {number} may be {done.alias}; nothing was changed")
        return
    was = ""
    if done.move.from_version is not None and done.alias == "production":
        was = f"; version {done.move.from_version} was, and is now {archived(done.move.from_version)}"
    forced = "" if done.verdict.passes else ", by force"
    typer.echo(f"{name} version {number} is now {done.alias}{forced} (move {done.move.seq}){was}")


def promotion_data(done: Promotion) -> dict[str, Any]:
    """Return the promotion as plain values."""
    verdict, move = done.verdict, done.move
    return identity(done.version) | {
        "alias": done.alias,
        "moved": move is not None,
        "replaced": move.from_version if move else None,
        "holder": done.version.number if move else done.holder,
        "verdict": dict(verdict.data) if verdict else None,
        "artifact": verdict.address if verdict else None,
        "move": move_data(move) if move else None,
    }


def print_moves(moves: list[Move]) -> None:
    """Print a table with a row per move."""
    rows = [
        [str(move.seq), move.time, move.by, move.kind, move.alias,
         f"{move.from_version or '-'} -> {move.to_version}", _evidence(move), move.why or "-"]
        for move in moves
    ]  # fmt: skip
    if rows:
        print_table(["move", "time", "by", "kind", "alias", "versions", "gate", "why"], rows)


def _evidence(move: Move) -> str:
    if move.evidence is None:
        return "-"
    return f"{move.evidence['verdict']}{' (overruled)' if move.evidence['forced'] else ''}"


def move_data(move: Move) -> dict[str, Any]:
    """Return the move as plain values, without its token."""
    return {key: value for key, value in asdict(move).items() if key != "token"}


def comparison_data(done: Comparison) -> dict[str, Any]:
    """Return the comparison as plain values."""
    pairs = done.pairs
    lower, upper = pairs.interval()
    sides = [
        identity(version) | {"test_accuracy": report.accuracy, "calibration_error": report.calibration_error}
        for version, report in zip((done.first, done.second), done.reports, strict=True)
    ]
    return {
        "first": sides[0],
        "second": sides[1],
        "dataset": done.first.dataset,
        "num_images": pairs.num_images,
        "difference": pairs.difference,
        "lower": lower,
        "upper": upper,
        "only_first_right": pairs.only_first,
        "only_second_right": pairs.only_second,
        "both_wrong": done.both_wrong,
        "classes": [
            {"name": one.name, "num_images": one.num_samples, "first": one.recall, "second": other.recall}
            for one, other in zip(done.reports[0].classes, done.reports[1].classes, strict=True)
        ],
    }


def print_comparison(done: Comparison) -> None:
    """Print a table with a row per class, then the difference and its confidence bounds."""
    from workloads.registry.gate import points

    a, b = done.first.number, done.second.number
    rows = [
        [one.name, str(one.num_samples), accuracy(one.recall), accuracy(other.recall)]
        for one, other in zip(done.reports[0].classes, done.reports[1].classes, strict=True)
    ]
    first, second = done.reports
    rows.append(["all", str(first.num_samples), accuracy(first.accuracy), accuracy(second.accuracy)])
    print_table(["class", "images", f"version {a}", f"version {b}"], rows)
    typer.echo(f"calibration error {first.calibration_error:.4f} and {second.calibration_error:.4f}")
    pairs = done.pairs
    lower, upper = pairs.interval()
    typer.echo(
        f"version {a} alone is right on {pairs.only_first:,} images, version {b} alone on {pairs.only_second:,}; "
        f"both are wrong on {done.both_wrong:,}"
    )
    typer.echo(
        f"version {a} has {points(pairs.difference)} points of accuracy against version {b}: above {points(lower)} and "
        f"below {points(upper)}, each with 95 % confidence"
    )


def version_data(version: Version) -> dict[str, Any]:
    """Return the fields that a list shows of a version, as plain values."""
    return {
        "version": version.number,
        "aliases": list(version.aliases),
        "run_id": version.run_id,
        "dataset": version.dataset,
        "val_accuracy": version.val_accuracy,
        "test_accuracy": version.test_accuracy,
    }

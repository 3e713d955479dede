"""Promotion and rollback: the gate is evaluated, the move recorded, the alias set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workloads.environment import PlatformEnvironment
from workloads.errors import RegistryError
from workloads.registry.aliases import mend
from workloads.registry.moves import FOUND, PROMOTE, ROLLBACK, History, Move, Standing, open_history, replay
from workloads.registry.rules import read_rules
from workloads.registry.verdict import Verdict, ask_gate
from workloads.registry.versions import PRODUCTION, Version, aliases_of, find_version, runs_of
from workloads.tracking.connection import connect


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """The result of `promote`."""

    version: Version
    alias: str
    verdict: Verdict | None = None
    """The gate's verdict; None if the version had the alias already."""
    move: Move | None = None
    """The recorded move; None if there was none."""
    holder: int | None
    """The version that had the alias before."""
    mended: Mapping[str, int | None]
    """Aliases that differed from the recorded moves, as they were repaired."""


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """The result of `roll_back`."""

    model_name: str
    move: Move
    mended: Mapping[str, int | None]
    """Aliases that differed from the recorded moves, as they were repaired."""


def promote(
    environment: PlatformEnvironment,
    model_name: str,
    number: int,
    *,
    to: str,
    rules_file: Path,
    by: str,
    why: str = "",
    force: bool = False,
    dry_run: bool = False,
) -> Promotion:
    """Evaluate the gate, and give version `number` the alias `to` if it passes, or by `force`.

    `dry_run` changes nothing. Safe to repeat, also after a crash half way. Raises RegistryError when there is no such
    version, or when another move was made meanwhile; DataError or TrackingError.
    """
    rules = read_rules(rules_file, to)
    history = open_history(environment, model_name)
    client = connect(environment)
    version = find_version(client, model_name, version=number)
    mended = {} if dry_run else mend(client, model_name, history)
    moves = history.moves()
    standing, aliases = replay(moves), aliases_of(client, model_name)
    production = _production(standing, aliases)
    holder = production if to == PRODUCTION else aliases.get(to)
    if number == holder:
        return Promotion(version=version, alias=to, holder=holder, mended=mended)
    verdict = ask_gate(
        environment, client, version, production, to=to, rules=rules, rules_file=rules_file, keeps=not dry_run
    )
    move = None
    if not dry_run and (verdict.passes or force):
        after = _start_recorded(history, standing, aliases, by=by, after=len(moves))
        evidence = {"verdict": verdict.decision.verdict, "artifact": verdict.address, "forced": not verdict.passes}
        move = Move(kind=PROMOTE, alias=to, from_version=holder, to_version=number, by=by, why=why, evidence=evidence)
        move = history.add(move, after=after)
        mend(client, model_name, history)
    return Promotion(version=version, alias=to, verdict=verdict, move=move, holder=holder, mended=mended)


def roll_back(environment: PlatformEnvironment, model_name: str, *, by: str, why: str = "") -> Rollback:
    """Give production to the version that had it before, without evaluating the gate.

    Called again, it goes back one more. Raises RegistryError where there is none, or when another move was made
    meanwhile; TrackingError.
    """
    history = open_history(environment, model_name)
    client = connect(environment)
    mended = mend(client, model_name, history)
    moves = history.moves()
    standing = replay(moves)
    target = standing.before(runs_of(client, model_name))
    if target is None:
        raise RegistryError(
            f"No version of {model_name} was in production before {standing.production or 'now'}, or it was deleted; "
            f"run `python -m workloads registry promote {model_name} VERSION --to {PRODUCTION}`"
        )
    move = Move(kind=ROLLBACK, alias=PRODUCTION, from_version=standing.production, to_version=target, by=by, why=why)
    move = history.add(move, after=len(moves))
    mend(client, model_name, history)
    return Rollback(model_name=model_name, move=move, mended=mended)


def _production(standing: Standing, aliases: Mapping[str, int]) -> int | None:
    """Return the version in production; for a model older than its history only the alias knows it."""
    return standing.production if standing.ever else aliases.get(PRODUCTION)


def _start_recorded(history: History, standing: Standing, aliases: Mapping[str, int], *, by: str, after: int) -> int:
    """Record production as the history finds it, if needed, and return the number of the last move."""
    if standing.ever or PRODUCTION not in aliases:
        return after
    why = "held the alias when the history began"
    found = Move(kind=FOUND, alias=PRODUCTION, from_version=None, to_version=aliases[PRODUCTION], by=by, why=why)
    return history.add(found, after=after).seq

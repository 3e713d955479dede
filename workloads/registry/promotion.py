"""Promotion and rollback: the gate is evaluated, the move recorded, the alias set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workloads.environment import PlatformEnvironment
from workloads.errors import RegistryError
from workloads.registry.aliases import repair
from workloads.registry.moves import FOUND, PROMOTE, ROLLBACK, AliasState, History, Move, open_history, replay
from workloads.registry.rules import read_rules
from workloads.registry.verdict import Verdict, evaluate_gate
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
    repaired: Mapping[str, int | None]
    """Aliases that differed from the recorded moves, as they were repaired."""


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """The result of `roll_back`."""

    model_name: str
    move: Move
    repaired: Mapping[str, int | None]
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
    repaired = {} if dry_run else repair(client, model_name, history)
    moves = history.moves()
    state, aliases = replay(moves), aliases_of(client, model_name)
    production = _production(state, aliases)
    holder = production if to == PRODUCTION else aliases.get(to)
    if number == holder:
        return Promotion(version=version, alias=to, holder=holder, repaired=repaired)
    verdict = evaluate_gate(
        environment, client, version, production, to=to, rules=rules, rules_file=rules_file, records=not dry_run
    )
    move = None
    if not dry_run and (verdict.passes or force):
        after = _start_recorded(history, state, aliases, by=by, after=len(moves))
        evidence = {"verdict": verdict.decision.verdict, "artifact": verdict.address, "forced": not verdict.passes}
        move = Move(kind=PROMOTE, alias=to, from_version=holder, to_version=number, by=by, why=why, evidence=evidence)
        move = history.add(move, after=after)
        repair(client, model_name, history)
    return Promotion(version=version, alias=to, verdict=verdict, move=move, holder=holder, repaired=repaired)


def roll_back(environment: PlatformEnvironment, model_name: str, *, by: str, why: str = "") -> Rollback:
    """Give production to the version that had it before, without evaluating the gate.

    Called again, it goes back one more. Raises RegistryError where there is none, or when another move was made
    meanwhile; TrackingError.
    """
    history = open_history(environment, model_name)
    client = connect(environment)
    repaired = repair(client, model_name, history)
    moves = history.moves()
    state = replay(moves)
    target = state.before(runs_of(client, model_name))
    if target is None:
        raise RegistryError(
            f"No version of {model_name} was in production before {state.production or 'now'}, or it was deleted; "
            f"run `python -m workloads registry promote {model_name} VERSION --to {PRODUCTION}`"
        )
    move = Move(kind=ROLLBACK, alias=PRODUCTION, from_version=state.production, to_version=target, by=by, why=why)
    move = history.add(move, after=len(moves))
    repair(client, model_name, history)
    return Rollback(model_name=model_name, move=move, repaired=repaired)


def _production(state: AliasState, aliases: Mapping[str, int]) -> int | None:
    """Return the version in production; for a model older than its history only the alias knows it."""
    return state.production if state.ever_served else aliases.get(PRODUCTION)


def _start_recorded(history: History, state: AliasState, aliases: Mapping[str, int], *, by: str, after: int) -> int:
    """Record production as the history finds it, if needed, and return the number of the last move."""
    if state.ever_served or PRODUCTION not in aliases:
        return after
    why = "held the alias when the history began"
    found = Move(kind=FOUND, alias=PRODUCTION, from_version=None, to_version=aliases[PRODUCTION], by=by, why=why)
    return history.add(found, after=after).seq

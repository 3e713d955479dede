"""Repair of the tracking server's aliases from the recorded moves, also after a crash between a move and its alias."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from workloads.errors import TrackingError
from workloads.registry.moves import AliasState, History, replay
from workloads.registry.versions import PRODUCTION, STAGING, aliases_of, runs_of
from workloads.tracking.connection import requests_to

if TYPE_CHECKING:
    from mlflow import MlflowClient


def archived(number: int) -> str:
    """Return the alias of a version that was in production."""
    return f"archived-{number}"


def differences(state: AliasState, aliases: Mapping[str, int], existing: Collection[int]) -> dict[str, int | None]:
    """Return the changes that bring `aliases` to the recorded state: from alias to its version, None to remove it.

    All follow the moves; an alias that was never moved is left alone. A version that was deleted can hold nothing.
    """
    if state.production is None:
        wanted: dict[str, int | None] = {}
    else:
        left = sorted(state.ever_served - {state.production})
        wanted = {PRODUCTION: state.production, **{archived(number): number for number in left}}
        if archived(state.production) in aliases:
            wanted[archived(state.production)] = None
    if state.staging is not None:
        wanted[STAGING] = state.staging
    return {
        alias: number
        for alias, number in wanted.items()
        if aliases.get(alias) != number and (number is None or number in existing)
    }


def drift(client: MlflowClient, model_name: str, history: History) -> dict[str, int | None]:
    """Return the changes that the tracking server's aliases need; raise RegistryError or TrackingError."""
    moves = history.moves()
    return differences(replay(moves), aliases_of(client, model_name), runs_of(client, model_name))


def repair(client: MlflowClient, model_name: str, history: History) -> dict[str, int | None]:
    """Bring the aliases to the recorded state, and return what was changed.

    Checks again afterwards: a newer move may have been made, and its alias set, before an older one was.
    """
    changed: dict[str, int | None] = {}
    while True:
        seen = len(history.moves())
        changes = drift(client, model_name, history)
        try:
            _set(client, model_name, changes)
        except TrackingError:
            # Of two that set the same new alias concurrently, MLflow refuses one; then the other has set it by now.
            if drift(client, model_name, history) == changes:
                raise
            continue
        changed |= changes
        if len(history.moves()) == seen:
            return changed


def _set(client: MlflowClient, model_name: str, changes: Mapping[str, int | None]) -> None:
    with requests_to(client.tracking_uri):
        for alias, number in changes.items():
            if number is None:
                client.delete_registered_model_alias(model_name, alias)
            else:
                client.set_registered_model_alias(model_name, alias, str(number))


def describe(changes: Mapping[str, int | None]) -> str:
    """Describe the changes in words."""
    return ", ".join(
        f"{alias} {'to nobody' if number is None else f'to version {number}'}" for alias, number in changes.items()
    )

"""Aliases repaired from the history, on a client that has MLflow's aliases and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from workloads.environment import PlatformEnvironment
from workloads.errors import TrackingError
from workloads.registry.aliases import drift, repair
from workloads.registry.moves import PROMOTE, ROLLBACK, History, Move, open_history, replay
from workloads.registry.versions import PRODUCTION, STAGING


@dataclass
class Aliases:
    """MLflow's: a version may hold several, an alias is of one version, the last writer wins."""

    existing: set[int]
    held: dict[str, int] = field(default_factory=dict)
    before_write: Callable[[], None] = lambda: None
    tracking_uri = "fake:"

    def get_registered_model(self, name: str) -> Any:
        return SimpleNamespace(aliases={alias: str(number) for alias, number in self.held.items()})

    def search_model_versions(self, filter_string: str) -> list[Any]:
        return [SimpleNamespace(version=str(number), run_id="r") for number in self.existing]

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self.before_write()
        if int(version) not in self.existing:
            raise MlflowException(f"Model Version {version} not found", error_code=RESOURCE_DOES_NOT_EXIST)
        self.held[alias] = int(version)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        self.before_write()
        self.held.pop(alias, None)

    def delete(self, number: int) -> None:
        self.existing.discard(number)
        self.held = {alias: holder for alias, holder in self.held.items() if holder != number}

    @property
    def client(self) -> MlflowClient:
        return cast(MlflowClient, self)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return open_history(PlatformEnvironment(registry=str(tmp_path)), "m")


def add(
    history: History, to: int, kind: str = PROMOTE, alias: str = PRODUCTION, from_version: int | None = None
) -> None:
    move = Move(kind=kind, alias=alias, from_version=from_version, to_version=to, by="ada")
    history.add(move, after=len(history.moves()))


def test_a_crash_between_a_move_and_its_alias_is_repaired(history: History):
    aliases = Aliases({1, 2})
    add(history, 1)
    repair(aliases.client, "m", history)
    add(history, 2)
    assert drift(aliases.client, "m", history) == {PRODUCTION: 2, "archived-1": 1}
    assert aliases.held == {PRODUCTION: 1}
    assert repair(aliases.client, "m", history) == {PRODUCTION: 2, "archived-1": 1}
    assert aliases.held == {PRODUCTION: 2, "archived-1": 1}
    assert repair(aliases.client, "m", history) == {}


def test_a_server_that_fails_between_two_aliases_is_repaired_later(history: History):
    aliases = Aliases({1, 2, 3})
    for number in (1, 2, 3):
        add(history, number)

    def fail_after_the_first() -> None:
        if aliases.held:
            raise MlflowException("gone")

    aliases.before_write = fail_after_the_first
    with pytest.raises(TrackingError, match="gone"):
        repair(aliases.client, "m", history)
    assert aliases.held == {PRODUCTION: 3}
    aliases.before_write = lambda: None
    repair(aliases.client, "m", history)
    assert aliases.held == {PRODUCTION: 3, "archived-1": 1, "archived-2": 2}


def test_a_slow_writer_does_not_undo_the_move_of_one_that_overtook_it(history: History, tmp_path: Path):
    aliases = Aliases({1, 2, 3})
    add(history, 1)
    repair(aliases.client, "m", history)
    add(history, 2)
    other = open_history(PlatformEnvironment(registry=str(tmp_path)), "m")

    def overtake() -> None:
        aliases.before_write = lambda: None
        add(other, 3)
        repair(aliases.client, "m", other)

    # While the first is about to set the alias for version 2, another promotes version 3 from start to end.
    aliases.before_write = overtake
    repair(aliases.client, "m", history)
    assert aliases.held == {PRODUCTION: 3, "archived-1": 1, "archived-2": 2}


def test_an_alias_that_another_gives_at_the_same_moment_is_no_fault(history: History):
    aliases = Aliases({1, 2})
    for number in (1, 2):
        add(history, number)

    def lose_the_race() -> None:
        aliases.before_write = lambda: None
        aliases.held["production"] = 2
        raise MlflowException("duplicate key value violates unique constraint")

    aliases.before_write = lose_the_race
    repair(aliases.client, "m", history)
    assert aliases.held == {PRODUCTION: 2, "archived-1": 1}


@pytest.mark.parametrize("alias", [PRODUCTION, STAGING])
def test_an_alias_that_was_set_past_the_history_is_set_back(history: History, alias: str):
    aliases = Aliases({1, 2, 3})
    add(history, 2, alias=alias)
    assert repair(aliases.client, "m", history) == {alias: 2}
    aliases.held[alias] = 3
    assert repair(aliases.client, "m", history) == {alias: 2}


def test_without_moves_nothing_is_touched(history: History):
    aliases = Aliases({1}, {PRODUCTION: 1, "archived-7": 1, "shadow": 1})
    assert repair(aliases.client, "m", history) == {}


def test_versions_that_were_deleted_are_passed_over(history: History):
    aliases = Aliases({1, 2, 3})
    for number in (1, 2, 3):
        add(history, number)
    aliases.delete(1)
    aliases.delete(3)
    assert repair(aliases.client, "m", history) == {"archived-2": 2}


def test_a_thousand_random_moves_replay_to_the_aliases_that_they_left(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # there will be no power failure in between
    rng = random.Random(5)  # noqa: S311  a test's own draws
    aliases = Aliases(set(range(1, 21)))
    stack: list[int] = []  # a second account of what should be, kept by the plainest means
    ever_served: set[int] = set()
    for _ in range(1000):
        kind = rng.choice(["promote", "promote", "rollback", "staging", "train"])
        if kind == "train":
            aliases.existing.add(max(aliases.existing) + 1)
        elif kind == "staging":
            staging = rng.choice(sorted(aliases.existing))
            add(history, staging, alias=STAGING, from_version=aliases.held.get(STAGING))
        elif kind == "promote":
            number = rng.choice([n for n in sorted(aliases.existing) if n != (stack or [0])[-1]])
            add(history, number, from_version=(stack or [None])[-1])  # type: ignore[list-item]
            stack.append(number)
        elif (target := replay(history.moves()).before(aliases.existing)) is not None:
            add(history, target, ROLLBACK, from_version=stack[-1])
            stack.pop()
            assert stack[-1] == target
        ever_served |= set(stack[-1:])
        if rng.random() < 0.7:  # else the process ends before it sets an alias
            repair(aliases.client, "m", history)
    add(history, replay(history.moves()).before(aliases.existing) or 0, ROLLBACK, from_version=stack.pop())
    repair(aliases.client, "m", history)

    again = open_history(PlatformEnvironment(registry=str(tmp_path)), "m")
    state = replay(again.moves())
    assert list(state.served) == stack
    assert aliases.held == {
        STAGING: staging,
        PRODUCTION: stack[-1],
        **{f"archived-{n}": n for n in ever_served - {stack[-1]}},
    }
    assert drift(aliases.client, "m", again) == {}

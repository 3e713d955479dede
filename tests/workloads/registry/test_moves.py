"""The history of moves: written once each, raced for, and replayed."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from workloads.environment import PlatformEnvironment
from workloads.errors import CheckpointError, RegistryError
from workloads.registry import moves
from workloads.registry.moves import FOUND, PROMOTE, ROLLBACK, History, Move, open_history, replay
from workloads.registry.versions import PRODUCTION, STAGING


def move(to: int, kind: str = PROMOTE, alias: str = PRODUCTION, by: str = "ada@desk", from_version: int = 1) -> Move:
    return Move(kind=kind, alias=alias, from_version=from_version, to_version=to, by=by)


def at(place: str | Path, model_name: str = "m") -> History:
    return open_history(PlatformEnvironment(registry=str(place)), model_name)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="artifacts")
        yield "s3://artifacts/registry"


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "registry") if request.param == "folder" else str(request.getfixturevalue("bucket"))


def test_moves_are_read_back_in_order_by_whoever_opens_the_history(place: str):
    mine, yours = at(place), at(place)
    assert mine.moves() == yours.moves() == []
    first = mine.add(replace(move(1), why="the first", evidence={"verdict": "promote"}), after=0)
    second = yours.add(move(2), after=len(yours.moves()))
    assert [one.seq for one in (first, second)] == [1, 2]
    assert mine.moves() == yours.moves() == at(place).moves() == [first, second]
    assert mine.moves()[0].why == "the first"
    assert at(place, "another").moves() == []


def test_of_two_that_decided_on_the_same_state_the_second_is_told_who_came_first(place: str):
    mine, yours = at(place), at(place)
    seen = len(mine.moves())
    yours.add(move(2, by="ben@laptop"), after=len(yours.moves()))
    with pytest.raises(
        RegistryError, match=r"not given to version 3: move 1 \(promote, production 1 -> 2, by ben@laptop at .* first"
    ):
        mine.add(move(3), after=seen)
    assert [one.to_version for one in at(place).moves()] == [2]


def test_a_move_whose_answer_was_lost_is_known_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    history = at(tmp_path)
    store = history._store
    write_new = store.write_new
    monkeypatch.setattr(store, "write_new", lambda name, data: write_new(name, data) and False)
    assert history.add(move(2), after=0).seq == 1
    assert len(at(tmp_path).moves()) == 1


def test_a_move_that_is_being_made_by_another_is_told(bucket: str, monkeypatch: pytest.MonkeyPatch):
    history = at(bucket)
    monkeypatch.setattr(history._store, "write_new", lambda name, data: False)
    with pytest.raises(RegistryError, match="another move was being made"):
        history.add(move(2), after=0)


ROUNDS = 10
barrier: Barrier


def start(shared: Barrier) -> None:
    global barrier
    barrier = shared


def race(place: str) -> list[str]:
    """The tokens of the moves that this process made, of one tried in each round."""
    history, made = at(place), []
    for _ in range(ROUNDS):
        seen = len(history.moves())
        barrier.wait(60)
        mine = move(seen + 1)
        try:
            history.add(mine, after=seen)
        except RegistryError:
            pass
        else:
            made.append(mine.token)
        barrier.wait(60)
    return made


def test_of_processes_that_promote_at_once_one_wins_each_round(tmp_path: Path):
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, mp_context=spawn, initializer=start, initargs=(spawn.Barrier(3),)) as pool:
        made = list(pool.map(race, [str(tmp_path)] * 3))
    kept = at(tmp_path).moves()
    assert [one.seq for one in kept] == list(range(1, ROUNDS + 1))
    assert sorted(one.token for one in kept) == sorted(token for tokens in made for token in tokens)


def served(*done: Move) -> tuple[int, ...]:
    return replay(done).served


def test_production_is_a_stack_from_which_a_rollback_takes():
    assert replay([]).production is None
    assert served(move(1), move(2), move(1)) == (1, 2, 1)
    assert served(move(1), move(2), move(3), move(2, ROLLBACK), move(1, ROLLBACK)) == (1,)
    assert served(move(1), move(2), move(1, ROLLBACK), move(3)) == (1, 3)
    assert served(move(4, FOUND), move(5)) == (4, 5)
    assert served(move(1), move(2), move(3), move(1, ROLLBACK)) == (1,)  # version 2 had been deleted


def test_before_is_the_nearest_other_version_that_exists():
    state = replay([move(1), move(2), move(3), move(2), move(3)])
    assert state.before([1, 2, 3]) == 2
    assert state.before([1, 3]) == 1
    assert state.before([3]) is None
    assert replay([move(1)]).before([1, 2]) is None


def test_moves_of_staging_leave_production_alone():
    state = replay([move(1), move(2, alias=STAGING)])
    assert (state.production, state.ever_served) == (1, frozenset({1}))
    assert state.staging == 2


def test_a_history_that_lost_a_move_is_not_guessed_at(tmp_path: Path):
    for seq in range(3):
        at(tmp_path).add(move(seq + 1), after=seq)
    middle = tmp_path / "m" / "00000002.json"
    kept = middle.read_text()
    middle.unlink()
    with pytest.raises(RegistryError, match=r"m/00000002\.json is missing, and later moves are there"):
        at(tmp_path).moves()
    for damaged in ("", "[]", '{"kind": "promote"}'):
        middle.write_text(damaged)
        with pytest.raises(RegistryError, match=r"m/00000002\.json is no move .*put it back from a backup"):
            at(tmp_path).moves()
    middle.write_text(json.dumps(json.loads(kept) | {"seq": 7}))
    with pytest.raises(RegistryError, match=r"00000002\.json holds move 7"):
        at(tmp_path).moves()


def test_a_place_that_is_not_named_or_cannot_be_used_is_told_with_what_can():
    with pytest.raises(RegistryError, match=r"MLP_REGISTRY is not set; run `eval .*s3://BUCKET/PREFIX"):
        open_history(PlatformEnvironment(), "m")
    with pytest.raises(RegistryError, match=r"MLP_REGISTRY is gs://x; it must be a folder or s3://BUCKET/PREFIX"):
        at("gs://x")


def test_a_bucket_that_is_not_there_is_told(bucket: str):
    with pytest.raises(CheckpointError, match=r"s3://nowhere/registry/m/.*bucket does not exist"):
        at("s3://nowhere/registry").moves()


def test_a_user_without_a_name_is_known_by_number(monkeypatch: pytest.MonkeyPatch):
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4242")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert moves.this_user().startswith("uid-")

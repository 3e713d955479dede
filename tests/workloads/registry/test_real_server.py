"""Moves against MLflow's own server with its login, on a real PostgreSQL, as `mlp up` runs them."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from tests.workloads.real_servers import real_servers
from tests.workloads.registry.builders import MODEL, aliases, invoke, run_of
from workloads.environment import PlatformEnvironment
from workloads.errors import RegistryError
from workloads.registry.aliases import drift, repair
from workloads.registry.moves import PROMOTE, Move, open_history, replay
from workloads.registry.promotion import roll_back
from workloads.tracking.connection import connect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NUM_VERSIONS = 6


@pytest.fixture(scope="module")
def server() -> Iterator[PlatformEnvironment]:
    with real_servers() as (environment, _):
        yield environment


@pytest.fixture
def client(
    server: PlatformEnvironment, environment: PlatformEnvironment, monkeypatch: pytest.MonkeyPatch
) -> MlflowClient:
    """Of the server, with versions that are all made from one trained model."""
    for name, value in server.variables().items():
        monkeypatch.setenv(name, value)
    client = connect(server)
    if not client.search_registered_models():
        invoke("train", "digits", "--set", "num_threads=1", "--set", "epochs=4", "--no-test")
        first = client.get_model_version(MODEL, "1")
        for _ in range(NUM_VERSIONS - 1):
            copy(client, first, MODEL)
    return client


def copy(client: MlflowClient, version: ModelVersion, model_name: str) -> None:
    """One more version, of the same model."""
    model_id = str(version.source).removeprefix("models:/")
    client.create_model_version(model_name, source=str(version.source), run_id=version.run_id, model_id=model_id)


def test_promote_and_roll_back_leave_what_the_history_says(client: MlflowClient, server: PlatformEnvironment):
    assert "is now production" in invoke("registry", "promote", MODEL, "1", "--to", "production")
    history, rng = open_history(server, MODEL), random.Random(1)  # noqa: S311  a test's own draws
    for _ in range(40):
        moves = history.moves()
        state = replay(moves)
        if rng.random() < 0.4 and state.before(range(1, NUM_VERSIONS + 1)):
            before = state.before(range(1, NUM_VERSIONS + 1))
            assert roll_back(server, MODEL, by="ada").move.to_version == before
            continue
        number = rng.choice([n for n in range(1, NUM_VERSIONS + 1) if n != state.production])
        move = Move(kind=PROMOTE, alias="production", from_version=state.production, to_version=number, by="ada")
        history.add(move, after=len(moves))
        if rng.random() < 0.7:  # else the process ends before it sets an alias
            repair(client, MODEL, history)
    repair(client, MODEL, history)
    state = replay(open_history(server, MODEL).moves())
    assert drift(client, MODEL, history) == {}
    held = aliases(client)
    assert held.pop("production") == state.production
    assert held == {f"archived-{n}": n for n in state.ever_served - {state.production}}
    client.delete_model_version(MODEL, str(state.before(range(1, NUM_VERSIONS + 1))))
    repair(client, MODEL, history)  # what is gone is passed over
    assert roll_back(server, MODEL, by="ada").move.to_version == aliases(client)["production"]


def test_of_two_rollbacks_at_once_none_is_made_unseen(client: MlflowClient, server: PlatformEnvironment):
    history = open_history(server, "raced")
    client.create_registered_model("raced")
    first = client.get_model_version(MODEL, "1")
    for number in (1, 2, 3):
        copy(client, first, "raced")
        move = Move(kind=PROMOTE, alias="production", from_version=number - 1 or None, to_version=number, by="ada")
        history.add(move, after=number - 1)

    def once(_: int) -> RegistryError | None:
        try:
            roll_back(server, "raced", by="ben")
        except RegistryError as error:
            return error
        return None

    with ThreadPoolExecutor(2) as pool:
        errors = [error for error in pool.map(once, range(2)) if error]
    assert all("move 4 (rollback, production 3 -> 2, by ben" in str(error) for error in errors)
    done = history.moves()[3:]
    assert [move.to_version for move in done] == [2, 1][: 2 - len(errors)]
    held = client.get_registered_model("raced").aliases["production"]
    assert int(held) == done[-1].to_version


def test_of_two_promotions_at_once_the_loser_is_told(client: MlflowClient, server: PlatformEnvironment):
    invoke("registry", "register", run_of(client, 1), "--name", "both")
    first = client.get_model_version("both", "1")
    copy(client, first, "both")
    command = [sys.executable, "-m", "workloads", "registry", "promote", "both", "--to", "production"]
    children = [
        subprocess.Popen([*command, number], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in ("1", "2")
    ]
    errors = [child.communicate(timeout=300)[1] for child in children]
    codes = [child.returncode for child in children]
    moves = open_history(server, "both").moves()
    # Who comes much later finds the other in production, which it cannot be distinguished from on 359 images.
    assert sorted(codes) == [0, 1]
    assert len(moves) == 1
    [lost] = [text for text, code in zip(errors, codes, strict=True) if code]
    assert "came first" in lost or "insufficient evidence" in lost
    assert dict(client.get_registered_model("both").aliases) == {"production": str(moves[0].to_version)}

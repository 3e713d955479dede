from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from tests.workloads.tuning.searching import tune
from workloads.cli import app
from workloads.config import load_config
from workloads.environment import PRICE, PlatformEnvironment
from workloads.errors import ClusterError, SearchError, WorkloadError
from workloads.tracking.connection import connect
from workloads.tuning.options import PRESETS, SearchOptions
from workloads.tuning.search import check


@pytest.mark.parametrize(
    "answer", [None, b"", b"HTTP/1.0 400 Bad request"], ids=["nothing", "hangs up", "another server"]
)
def test_without_a_head_at_its_address_the_search_does_not_start(answer: bytes | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        if answer is None:
            server.close()
        thread = Thread(target=answer_once, args=(server, answer or b""))
        thread.start()
        here = PlatformEnvironment(ray_address=address)
        with pytest.raises(ClusterError, match=rf"RAY_ADDRESS is {address} and no Ray head answers .* `mlp up`"):
            check(load_config("digits"), SearchOptions(tracking=False), here)
        thread.join()


def answer_once(server: socket.socket, answer: bytes) -> None:
    with suppress(OSError):  # the server that is closed has nobody to answer
        connection, _ = server.accept()
        with connection:
            connection.recv(100)
            connection.sendall(answer)


def test_all_that_is_wrong_with_a_search_is_told_at_once() -> None:
    options = SearchOptions(
        engine="hyperopt",
        sampler="grid",
        num_trials=0,
        max_concurrent=0,
        ranks_per_trial=100,
        max_hours=0,
        budget_usd=1,
        tracking=False,
    )
    config = load_config("digits", {"search": {"grace_epochs": 3}, "epochs": 2})
    with pytest.raises(SearchError) as raised:
        check(config, options, PlatformEnvironment())
    for message in (
        "--engine is hyperopt; it must be one of ray, optuna",
        "--sampler is grid; it must be one of random, tpe",
        "--num-samples is 0; it must be at least 1",
        "--max-concurrent is 0; it must be at least 1",
        "--ranks-per-trial is 100; it must be at most global_batch_size, 64",
        "--max-hours is 0; it must be above 0",
        "--budget-usd is 1 and MLP_PRICE_USD_PER_HOUR is not set",
        "there is no search space; add search.space",
        "search.grace_epochs is 3 and a trial has 2 epochs",
    ):
        assert message in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Name a CONFIG, one of "),
        (("digits", "--preset", "fast"), "--preset is fast; it must be one of quick, standard, extensive"),
        (("--resume", "none"), "There is no search none in"),
        (("--resume", "none", "--set", "search.space.optim.lr={choice: [1]}"), "its space and epochs too; leave out"),
        (("digits", "--resume", "none"), "Search none is resumed as it was begun"),
        (("digits", "--storage", "sqlite:///study.db"), "it must be postgresql://… or the path of a journal file"),
        (("digits", "--storage", "postgresql://u:secret@127.0.0.1:1/d"), "Storage postgresql://u:***@127.0.0.1:1/d"),
        (("digits", "--storage", "postgresqlite://u:secret@h/d"), "it must be postgresql://… or the path of a journal"),
        (("digits", "--storage", "postgresql+pg8000://u:secret@h/d"), "names the driver pg8000, which is not"),
        (("digits", "--storage", "postgresql+typo://u:secret@h/d"), "write postgresql://…, which takes psycopg"),
        (("digits", "--budget-usd", "0"), "--budget-usd is 0; it must be above 0"),
        (("digits", "--ranks-per-trial", "0"), "--ranks-per-trial is 0; it must be at least 1"),
        (("digits", "--ranks-per-trial", "2"), "--ranks-per-trial is 2; it must be 1, or use --engine ray"),
    ],
)  # fmt: skip
def test_a_search_that_cannot_begin_or_go_on_is_refused_and_leaves_nothing(
    environment: PlatformEnvironment, searches: Path, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(WorkloadError) as raised:
        tune(*arguments, "--engine", "optuna")
    assert message in str(raised.value)
    assert "secret" not in str(raised.value)
    assert connect(environment).get_experiment_by_name("digits") is None
    assert not list(searches.glob("**/*"))


def test_the_help_says_how_many_trials_and_epochs_a_preset_has() -> None:
    help_text = " ".join(CliRunner().invoke(app, ["tune", "--help"]).stdout.split())
    (trials, epochs), *others = PRESETS.values()
    other_presets = ", ".join(f"{name} ({n} of {e})" for name, (n, e) in zip(list(PRESETS)[1:], others, strict=True))
    assert f"{next(iter(PRESETS))} ({trials} trials of {epochs} epochs), {other_presets}" in help_text


def test_a_dry_run_tells_time_and_price_and_refuses_what_is_above_the_budget(
    environment: PlatformEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PRICE, "7.2")
    search = ("digits", "--dry-run", "--engine", "optuna", "--workers", "2", "--preset", "standard")
    found = tune(*search)
    assert (found["num_trials"], found["num_epochs"], found["num_slots"]) == (50, 10, 2)
    assert 50 < found["epochs"] < 500 * 0.4
    assert found["hours"] == pytest.approx(found["epochs"] * found["seconds_per_epoch"] / 2 / 3600)
    assert found["usd"] == pytest.approx(found["hours"] * 7.2)
    with pytest.raises(SearchError, match=r"The search would cost about .* above the budget of 1e-06 USD"):
        tune(*search, "--budget-usd", "0.000001")
    assert connect(environment).get_experiment_by_name("digits") is None

from __future__ import annotations

import json
import socket
from contextlib import suppress
from threading import Thread

import pytest
from typer.testing import CliRunner

from workloads.cli import app
from workloads.config import load_config
from workloads.environment import PlatformEnvironment
from workloads.errors import SearchError
from workloads.tracking.connection import connect
from workloads.tuning.search import SearchOptions, TrialResult, best_of, check

BAD_RATE = 1e12


def test_a_search_leaves_a_nested_run_for_each_trial_and_goes_on_after_a_failed_one(
    environment: PlatformEnvironment,
) -> None:
    space = f"search.space.optim.lr={{choice: [0.1, 0.02, {BAD_RATE:.0f}.0]}}"
    arguments = ["tune", "digits", "--trials", "5", "--epochs", "2", "--set", space, "--set", "data.num_train=300"]
    outcome = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    result = json.loads(outcome.stdout)  # nothing else is on stdout
    assert set(result) == {"run_id", "trials", "best", "seconds"}

    client = connect(environment)
    parent = client.get_run(result["run_id"])
    experiment_id = parent.info.experiment_id
    nested = client.search_runs([experiment_id], f"tags.`mlflow.parentRunId` = '{result['run_id']}'")
    runs = {run.info.run_id: run for run in nested}
    assert set(runs) == {trial["run_id"] for trial in result["trials"]}
    assert len(runs) == 5
    assert not [run for run in client.search_runs([experiment_id]) if run.info.status == "RUNNING"]

    states = {trial["state"] for trial in result["trials"]}
    assert "failed" in states
    assert states & {"finished", "stopped"}
    for trial in result["trials"]:
        run = runs[trial["run_id"]]
        assert run.data.params["optim.lr"] == str(trial["params"]["optim.lr"])
        assert run.data.params["model.width"] == str(trial["params"]["model.width"])
        assert run.data.tags["trial_state"] == trial["state"]
        if trial["params"]["optim.lr"] == BAD_RATE:
            assert (trial["state"], trial["val_accuracy"], trial["epochs"]) == ("failed", None, 0)
            assert run.info.status == "FAILED"
            assert run.data.metrics == {}
            assert "not finite at step" in run.data.tags["error"]
        else:
            assert run.info.status == "FINISHED"
            points = client.get_metric_history(run.info.run_id, "val/accuracy")
            assert [point.step for point in points] == [5, 10][: trial["epochs"]]  # 300 images in batches of 64
            assert points[-1].value == trial["val_accuracy"]

    best = max((trial for trial in result["trials"] if trial["val_accuracy"]), key=lambda trial: trial["val_accuracy"])
    assert result["best"]["val_accuracy"] == best["val_accuracy"]
    assert parent.info.status == "FINISHED"
    assert parent.data.params["best.optim.lr"] == str(result["best"]["params"]["optim.lr"])


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
        with pytest.raises(SearchError, match=rf"RAY_ADDRESS is {address} and no Ray head answers .* `mlp up`"):
            check(load_config("digits"), SearchOptions(tracking=False), here)
        thread.join()


def answer_once(server: socket.socket, answer: bytes) -> None:
    with suppress(OSError):  # the server that is closed has nobody to answer
        connection, _ = server.accept()
        with connection:
            connection.recv(100)
            connection.sendall(answer)


def test_of_the_trials_that_did_not_fail_the_most_accurate_is_the_best() -> None:
    trials = [
        trial("a", 0.8, "finished"),
        trial("b", 0.9, "stopped"),
        trial("c", 0.99, "failed"),
        trial("d", None, "failed"),
    ]
    best, accuracy = best_of(trials)
    assert (best.name, accuracy) == ("b", 0.9)


def test_a_search_in_which_every_trial_failed_has_no_best() -> None:
    with pytest.raises(SearchError, match="None of 1 trials ended well"):
        best_of([trial("a", None, "failed")])


def trial(name: str, val_accuracy: float | None, state: str) -> TrialResult:
    return TrialResult(name=name, run_id=None, params={}, val_accuracy=val_accuracy, epochs=1, state=state)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (SearchOptions(num_trials=0, tracking=False), "--trials is 0; it must be at least 1"),
        (SearchOptions(max_concurrent=0, tracking=False), "--max-concurrent is 0; it must be at least 1"),
    ],
    ids=["trials", "max-concurrent"],
)
def test_a_search_of_nothing_is_refused(options: SearchOptions, told: str) -> None:
    with pytest.raises(SearchError, match=told):
        check(load_config("digits"), options, PlatformEnvironment())


def test_a_config_without_a_search_space_is_refused() -> None:
    config = load_config("digits", {"search": {}})
    with pytest.raises(SearchError, match=r"Config digits has no search space; add search\.space"):
        check(config, SearchOptions(tracking=False), PlatformEnvironment())

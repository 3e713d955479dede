from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import psutil
import pytest

from tests.workloads.tuning.objectives import Pretended, config, folder, result, study
from workloads.environment import PlatformEnvironment
from workloads.errors import SearchError, Stopped
from workloads.tuning import processes
from workloads.tuning.folder import SearchIdentity, unfinished
from workloads.tuning.search import best_of
from workloads.tuning.states import COMPLETE, FAILED, INTERRUPTED, PRUNED, RUNNING, WAITING
from workloads.tuning.study import Limits, Study
from workloads.tuning.totals import Totals
from workloads.tuning.trials import Trial


def test_trials_end_complete_pruned_or_failed_and_the_best_is_one_of_those_that_did_not_fail(tmp_path: Path) -> None:
    searched = study(config(9), num_trials=12, folder=folder(tmp_path))
    objective = Pretended(9, tmp_path / "log", fails=(2, 5))
    processes.run(searched, objective, num_workers=1)
    assert searched.is_complete
    states = [trial.state for trial in searched.trials]
    assert {number for number, state in enumerate(states) if state == FAILED} == {2, 5}
    assert set(states) == {COMPLETE, PRUNED, FAILED}
    for trial in searched.trials:
        assert trial.num_epochs == {COMPLETE: 9, PRUNED: trial.num_epochs, FAILED: 0}[trial.state]
        assert trial.num_epochs in (0, 1, 3, 9)
        assert (trial.val_accuracy is None) == (trial.state == FAILED)
        assert trial.error == ("ValueError: no luck" if trial.state == FAILED else None)
    best, accuracy = best_of(searched.trials)
    assert accuracy == max(float(str(t.params["optim.lr"])) for t in searched.trials if t.state != FAILED)
    assert best.val_accuracy == accuracy


def test_a_search_in_which_every_trial_failed_has_no_best(tmp_path: Path) -> None:
    searched = study(config(2), num_trials=2)
    processes.run(searched, Pretended(2, tmp_path / "log", fails=(0, 1)), num_workers=1)
    with pytest.raises(SearchError, match="None of 2 trials ended well"):
        best_of(searched.trials)


def test_a_search_goes_on_with_what_is_left_as_if_it_had_not_been_ended(tmp_path: Path) -> None:
    whole = study(config(9), num_trials=10)
    processes.run(whole, Pretended(9, tmp_path / "whole"), num_workers=1)

    objective = Pretended(9, tmp_path / "log")
    first = study(config(9), num_trials=10, folder=folder(tmp_path))

    def ends_at_half() -> None:
        if len(objective.epochs()) == sum(trial.num_epochs for trial in whole.trials) // 2:
            raise Stopped(15)

    first.raise_if_stopped = ends_at_half
    with pytest.raises(Stopped):
        processes.run(first, objective, num_workers=1)
    ended = {trial.number for trial in folder(tmp_path).trials() if trial.state != WAITING}
    assert 0 < len(ended) < 10
    before = objective.epochs()

    second = study(config(9), num_trials=10, folder=folder(tmp_path))
    processes.run(second, objective, num_workers=1)
    again = objective.epochs()[len(before) :]
    assert not {number for number, _ in again} & ended
    assert [trial.params for trial in second.trials] == [trial.params for trial in whole.trials]
    assert [(t.state, t.num_epochs) for t in second.trials] == [(t.state, t.num_epochs) for t in whole.trials]
    assert len(objective.epochs()) <= sum(trial.num_epochs for trial in whole.trials) + 1


def test_a_result_that_a_trial_tells_again_is_no_new_one_and_an_epoch_that_was_repeated_is_waste() -> None:
    searched = study(config(4), num_trials=1)
    trial = searched.next()
    assert trial
    assert searched.report(0, result(1, 0.5))
    searched.lost(0, "gone")
    assert searched.next() is trial
    assert searched.report(0, result(1, 0.5, is_told_again=True))
    assert trial.wasted_s < 1
    assert searched.report(0, result(1, 0.6))
    assert 2 <= trial.wasted_s < 3
    assert [one.val_accuracy for one in trial.results] == [0.5]
    assert searched.report(0, result(2, 0.7))
    assert trial.num_epochs == 2


def test_a_trial_whose_worker_is_lost_again_and_again_is_failed() -> None:
    searched = study(config(4), num_trials=1)
    for _ in range(4):
        assert not searched.is_over
        assert searched.next()
        searched.began(0)
        time.sleep(0.01)
        searched.lost(0, "gone")
    assert searched.trials[0].wasted_s > 4 * 0.01
    assert searched.is_over
    assert searched.trials[0].state == FAILED
    assert searched.trials[0].error == "its worker was lost 4 times: gone"


class RecordingObserver:
    def __init__(self) -> None:
        self.states: list[str] = []

    def changed(self, trial: Trial) -> None:
        self.states.append(trial.state)


def pruned_and_not_ended(searched: Study) -> Trial:
    for value in (0.9, 0.1):
        trial = searched.next()
        assert trial
        searched.report(trial.number, result(1, value))
    searched.end(0)
    return searched.trials[1]


def test_a_trial_that_is_to_end_early_is_told_of_and_kept_once_and_the_search_is_not_over_before(
    tmp_path: Path,
) -> None:
    observer = RecordingObserver()
    searched = study(config(3), num_trials=2, folder=folder(tmp_path), observers=[observer])
    trial = pruned_and_not_ended(searched)
    assert trial.state == PRUNED
    assert not searched.is_over
    assert folder(tmp_path).trials()[1].state == WAITING
    searched.end(1)
    assert searched.is_over
    assert folder(tmp_path).trials()[1] == trial
    assert observer.states == [RUNNING, RUNNING, COMPLETE, PRUNED]


def test_a_trial_that_was_to_end_early_when_the_search_was_ended_is_kept(tmp_path: Path) -> None:
    searched = study(config(3), num_trials=3, folder=folder(tmp_path))
    pruned_and_not_ended(searched)
    assert searched.next()
    searched.interrupt()
    assert [trial.state for trial in searched.trials] == [COMPLETE, PRUNED, INTERRUPTED]
    assert [trial.state for trial in folder(tmp_path).trials()] == [COMPLETE, PRUNED, WAITING]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(max_hours=1, earlier_s=3600), "--max-hours 1"),
        (Limits(budget_usd=3, price_per_hour=2, earlier_s=5400), "--budget-usd 3"),
    ],
    ids=["hours", "dollars"],
)
def test_at_a_limit_running_trials_end_after_their_epoch_and_can_go_on(
    tmp_path: Path, limits: Limits, message: str
) -> None:
    searched = study(config(4), num_trials=3, folder=folder(tmp_path), limits=Limits())
    assert searched.next()
    assert searched.report(0, result(1, 0.5))
    searched.limits = limits
    assert not searched.report(0, result(2, 0.5))
    searched.end(0)
    assert searched.next() is None
    assert searched.is_over
    assert not searched.is_complete
    assert searched.ended_by == message
    assert searched.trials[0].state == INTERRUPTED
    assert best_of(searched.trials)[1] == 0.5
    assert [trial.state for trial in folder(tmp_path).trials()] == [WAITING]


def test_a_trial_that_came_to_its_last_epoch_is_complete_even_at_a_limit() -> None:
    searched = study(config(2), num_trials=1, limits=Limits())
    assert searched.next()
    searched.report(0, result(1, 0.5))
    searched.limits = Limits(max_hours=1, earlier_s=3600)
    searched.report(0, result(2, 0.5))
    searched.end(0)
    assert searched.trials[0].state == COMPLETE


def test_totals_are_the_sums_of_the_trials() -> None:
    searched = study(config(9), num_trials=4)
    for number, epochs in enumerate((9, 1, 3)):
        assert searched.next()
        for epoch in range(1, epochs + 1):
            searched.report(number, result(epoch, 0.9 - 0.1 * number))
        searched.end(number, "broke" if number == 2 else None)
    totals = Totals.of(searched.trials, num_epochs=9, usd_per_s=0.5)
    assert totals.states == {COMPLETE: 1, PRUNED: 1, FAILED: 1}
    assert totals.epochs == 13
    assert totals.seconds == pytest.approx(sum(trial.seconds for trial in searched.trials))
    assert totals.seconds == pytest.approx(26, abs=0.5)
    assert totals.wasted_seconds == pytest.approx(6, abs=0.5)  # the failed one's
    assert totals.saved_seconds == pytest.approx(16)  # eight epochs of two seconds
    assert totals.usd == pytest.approx(totals.seconds / 2)
    assert totals.metrics()["search/saved_usd"] == pytest.approx(8)


def test_a_folder_has_one_search_and_one_process_that_works_on_it(tmp_path: Path) -> None:
    one = folder(tmp_path)
    identity = SearchIdentity(name="search", config={}, options={})
    one.claim(identity)
    with pytest.raises(SearchError, match="Search search exists already; resume it with --resume search"):
        folder(tmp_path).claim(identity)
    assert one.begin_attempt() == 1
    parent = psutil.Process().parent()
    assert parent
    attempt = {"host": socket.gethostname(), "pid": parent.pid, "process_began": parent.create_time()}
    one.store.write("attempts/0001.json", json.dumps(attempt).encode())
    with pytest.raises(SearchError, match=f"Process {parent.pid} on this machine works on the search"):
        folder(tmp_path).begin_attempt()
    one.store.write("attempts/0001.json", json.dumps(attempt | {"process_began": 1}).encode())  # another, of that id
    assert folder(tmp_path).begin_attempt() == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no search search in"),
        (b"{", "cannot be read"),
        (b"[]", "it is no JSON object"),
        (b'{"format": 9}', "is of format 9; this code reads up to 1"),
        (b'{"format": 1, "unknown": 1}', "cannot be read"),
    ],
    ids=["none", "half", "list", "newer", "other"],
)
def test_a_search_that_is_not_there_or_damaged_cannot_go_on(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        folder(tmp_path).store.write("search.json", content)
    with pytest.raises(SearchError, match=message):
        unfinished(PlatformEnvironment(checkpoints=str(tmp_path)), "search")


def test_a_search_that_reached_its_end_or_has_no_place_does_not_go_on(tmp_path: Path) -> None:
    folder(tmp_path).claim(SearchIdentity(name="search", config={}, options={}))
    folder(tmp_path).finish({})
    with pytest.raises(SearchError, match="Search search is finished"):
        unfinished(PlatformEnvironment(checkpoints=str(tmp_path)), "search")
    with pytest.raises(SearchError, match="MLP_CHECKPOINTS is not set"):
        unfinished(PlatformEnvironment(), "search")


def test_trials_in_several_processes_are_all_run_and_one_that_loses_its_worker_goes_on_from_its_state(
    tmp_path: Path,
) -> None:
    searched = study(config(3, grace_epochs=3), num_trials=6, folder=folder(tmp_path))
    objective = Pretended(3, tmp_path / "log", seconds=0.01, fails=(4,), kills_at=((1, 3),))
    processes.run(searched, objective, num_workers=2)
    assert [trial.state for trial in searched.trials] == [COMPLETE] * 4 + [FAILED, COMPLETE]
    assert searched.trials[1].times_lost == 1
    assert sorted(objective.epochs()) == [(n, e) for n in range(6) if n != 4 for e in (1, 2, 3)]
    assert objective.worker(1, 2) != objective.worker(1, 3)

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial

from workloads.environment import PlatformEnvironment
from workloads.errors import Stopped
from workloads.tracking.tracker import MlflowTracker
from workloads.tuning.record import SearchRecord


@pytest.mark.parametrize(
    ("error", "status", "state"),
    [(Stopped(15), "KILLED", "killed"), (RuntimeError("lost"), "FAILED", "failed")],
    ids=["signal", "error"],
)
def test_a_search_that_ends_early_leaves_no_trial_open(
    environment: PlatformEnvironment, error: BaseException, status: str, state: str
) -> None:
    opened: list[MlflowTracker] = []

    def open_run(name: str, params: object) -> MlflowTracker:
        opened.append(MlflowTracker.start(environment, experiment="e", run_name=name, params={}, tags={}))
        return opened[-1]

    record = SearchRecord(2, open_run, lambda: None)
    for number in ("a", "b"):
        record.on_trial_start(0, [], trial(number))
    result = {"epoch": 2, "step": 8, "val/accuracy": 0.5, "val/loss": 1.0, "train/loss": 1.0}
    record.on_trial_result(0, [], trial("a"), result)
    record.on_trial_complete(0, [], trial("a"))
    with pytest.raises(type(error)), record:
        raise error
    runs = [tracker.client.get_run(tracker.run_id) for tracker in opened]
    assert [run.info.status for run in runs] == ["FINISHED", status]
    assert [run.data.tags["trial_state"] for run in runs] == ["finished", state]
    assert [record.val_accuracy for record in record.trials] == [0.5, None]


def trial(number: str) -> Trial:
    """As much of Tune's trial as the record looks at."""
    as_much: Trial = SimpleNamespace(trial_id=number, config={"optim.lr": 0.1}, error_file=None)  # type: ignore[assignment]  # a stand-in
    return as_much

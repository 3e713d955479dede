from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests.workloads.tuning.objectives import config, result
from workloads.environment import PlatformEnvironment
from workloads.tracking.tracker import PARENT_TAG, MlflowTracker
from workloads.tuning.record import SearchRecord
from workloads.tuning.states import COMPLETE, FAILED, INTERRUPTED, RUNNING
from workloads.tuning.trials import Trial


def record_of(parent: MlflowTracker) -> SearchRecord:
    record = SearchRecord(parent, config(4), name="search", tags={}, usd_per_s=0.5)
    record.find_runs()
    return record


def trial(number: int, epochs: int, state: str, error: str | None = None, *, repeated_at: float = 0) -> Trial:
    results = [result(epoch, 0.1 * epoch) for epoch in range(1, epochs + 1)]
    results = [replace(one, ended_at=one.ended_at + repeated_at) for one in results]
    return Trial(number=number, params={"optim.lr": 0.1}, state=state, results=results, error=error, wasted_s=1.0)


def test_a_trial_has_one_run_with_one_point_an_epoch_however_many_processes_record_it(
    environment: PlatformEnvironment,
) -> None:
    parent = MlflowTracker.start(environment, experiment="e", run_name="search", params={}, tags={})
    for changes in (
        [trial(0, 1, RUNNING), trial(0, 3, INTERRUPTED), trial(1, 2, COMPLETE)],
        [trial(0, 0, RUNNING)],  # killed before it reported more; the run stays open
        [
            trial(0, 0, RUNNING),
            trial(0, 4, COMPLETE, repeated_at=60),
            trial(1, 2, COMPLETE),
            trial(2, 0, FAILED, "no luck"),
        ],
    ):
        with record_of(parent) as record:
            for one in changes:
                record.changed(one)
                while not record.is_sent:
                    time.sleep(0.001)
    within = f"tags.`{PARENT_TAG}` = '{parent.run_id}'"
    runs = parent.client.search_runs([parent.experiment_id], within, order_by=["attributes.run_name"])
    assert [run.info.run_name for run in runs] == ["search-trial-001", "search-trial-002", "search-trial-003"]
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED", "FAILED"]
    assert [run.data.tags["trial_state"] for run in runs] == [COMPLETE, COMPLETE, FAILED]
    assert runs[2].data.tags["error"] == "no luck"
    for run, epochs in zip(runs, (4, 2, 0), strict=True):
        points = parent.client.get_metric_history(run.info.run_id, "val/accuracy")
        assert [point.step for point in points] == [10 * epoch for epoch in range(1, epochs + 1)]
        assert run.data.metrics["seconds"] == 2 * epochs + 1
        assert run.data.metrics["price_usd"] == pytest.approx(epochs + 0.5)

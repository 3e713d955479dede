"""The record of a search on the tracking server: a parent run, and a run nested in it for each trial.

Sent by a thread of the driver, from the trials' current state: neither a trial nor the search waits for the server, and
what an unavailable server missed is sent when it is back, or when the search is resumed.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from workloads.config import TrainConfig
from workloads.errors import TrackingError
from workloads.registry.versions import VALIDATION_ACCURACY
from workloads.tracking.connection import requests_to
from workloads.tracking.tracker import PARENT_TAG, MlflowTracker
from workloads.training.record import PRICE_PAID, SECONDS, TRAIN_LOSS, WASTED_SECONDS
from workloads.tuning.states import COMPLETE, FAILED, INTERRUPTED, PRUNED, RUNNING
from workloads.tuning.trials import EpochResult, Trial

logger = logging.getLogger(__name__)

TRIAL_TAG, STATE_TAG, ERROR_TAG = "trial", "trial_state", "error"
EPOCH = "epoch"
STATUS = {COMPLETE: "FINISHED", PRUNED: "FINISHED", FAILED: "FAILED", INTERRUPTED: "KILLED"}
TRY_AGAIN_S = 5.0
PAGE = 1000
POINTS_A_REQUEST = 900
"""Metric values per request; MLflow takes 1000 at once (https://mlflow.org/docs/latest/api_reference/rest-api.html#log-
batch)."""


@dataclass(frozen=True, kw_only=True)
class _Run:
    """The recorded state of a trial on the server."""

    run_id: str
    epochs: int = 0
    state: str = RUNNING


class SearchRecord:
    """Records the trials of a search.

    Leaving the context sends what is new, if the server answers within `tracking.wait_s`.
    """

    def __init__(
        self,
        parent: MlflowTracker,
        config: TrainConfig,
        *,
        name: str,
        tags: dict[str, str],
        usd_per_s: float | None = None,
    ) -> None:
        """Record under `parent`; `tags` are those of each trial's run, `usd_per_s` the price of a trial's second."""
        self.parent, self.config, self.name, self.tags, self.usd_per_s = parent, config, name, tags, usd_per_s
        self.runs: dict[int, _Run] = {}
        self._unsent: dict[int, Trial] = {}
        self._condition = threading.Condition()
        self._is_stopping = False
        self._gave_up = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="search-record", daemon=True)

    def find_runs(self) -> None:
        """Load the runs of a search that is resumed; raise TrackingError."""
        client, token = self.parent.client, None
        names = {}
        with requests_to(self.parent.uri):
            while True:
                within = f"tags.`{PARENT_TAG}` = '{self.parent.run_id}'"
                page = client.search_runs([self.parent.experiment_id], within, max_results=PAGE, page_token=token)
                for run in page:
                    state = run.data.tags.get(STATE_TAG, RUNNING)
                    status_matches = run.info.status == STATUS.get(state, "RUNNING")
                    names[run.data.tags.get(TRIAL_TAG, "")] = _Run(
                        run_id=run.info.run_id,
                        epochs=int(run.data.metrics.get(EPOCH, 0)),
                        state=state if status_matches else RUNNING,
                    )
                token = page.token
                if not token:
                    break
        self.runs = {int(name): run for name, run in names.items() if name}

    def changed(self, trial: Trial) -> None:
        """Queue the current state of `trial` to be sent, unless it was."""
        run = self.runs.get(trial.number)
        if run and run.state == trial.state and run.state in STATUS:
            return
        with self._condition:
            self._unsent[trial.number] = replace(trial, results=list(trial.results))
            self._condition.notify()

    @property
    def run_ids(self) -> dict[int, str]:
        """Run ids by trial number."""
        return {number: run.run_id for number, run in self.runs.items()}

    @property
    def is_sent(self) -> bool:
        """Whether everything was sent."""
        return not self._unsent

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._condition:
            self._is_stopping = True
            self._condition.notify()
        self._thread.join(self.config.tracking.wait_s)
        self._gave_up.set()
        self._thread.join()

    def _follow(self) -> None:
        """Send changed trials, in the thread, until the context ends."""
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._unsent or self._is_stopping)
                if not self._unsent:
                    return
                number, trial = next(iter(self._unsent.items()))
            try:
                self._send(trial)
            except TrackingError as error:
                logger.warning("%s; the search continues, its record is sent later", error)
                if self._gave_up.wait(TRY_AGAIN_S):
                    return
                continue
            with self._condition:
                if self._unsent[number] is trial:
                    del self._unsent[number]

    def _send(self, trial: Trial) -> None:
        """Send what the server lacks of the trial's state."""
        with requests_to(self.parent.uri):
            run = self.runs.get(trial.number) or self._begin(trial)
            if run.state in STATUS and trial.state not in STATUS:
                self.parent.client.update_run(run.run_id, status="RUNNING")  # it was resumed
            self._log(run, trial)
            if trial.state in STATUS:
                self.parent.client.set_terminated(run.run_id, status=STATUS[trial.state])
        self.runs[trial.number] = replace(run, epochs=max(run.epochs, trial.num_epochs), state=trial.state)

    def _begin(self, trial: Trial) -> _Run:
        from mlflow.entities import Param

        client = self.parent.client
        tags = self.tags | {PARENT_TAG: self.parent.run_id, TRIAL_TAG: str(trial.number)}
        begun = client.create_run(self.parent.experiment_id, run_name=f"{self.name}-{trial.name}", tags=tags)
        run = self.runs[trial.number] = _Run(run_id=begun.info.run_id)
        config = self.config.with_values(trial.params).flattened()
        client.log_batch(run.run_id, params=[Param(key, str(value)) for key, value in config.items()])
        return run

    def _log(self, run: _Run, trial: Trial) -> None:
        from mlflow.entities import Metric, RunTag

        points = [
            Metric(key, value, int(result.ended_at * 1000), result.step)
            for result in trial.results[run.epochs :]
            for key, value in _metrics(result).items()
        ]
        if trial.state in STATUS:
            sums = {SECONDS: trial.seconds, WASTED_SECONDS: trial.wasted_s}
            if self.usd_per_s is not None:
                sums[PRICE_PAID] = trial.seconds * self.usd_per_s
            step = trial.results[-1].step if trial.results else 0
            ended_ms = int((trial.ended_at or 0) * 1000)  # a repeated point is identical, so it is stored once
            points += [Metric(key, value, ended_ms, step) for key, value in sums.items()]
        tags = [RunTag(STATE_TAG, trial.state)] + ([RunTag(ERROR_TAG, trial.error)] if trial.error else [])
        for first in range(0, max(1, len(points)), POINTS_A_REQUEST):
            part = points[first : first + POINTS_A_REQUEST]
            self.parent.client.log_batch(run.run_id, metrics=part, tags=tags)


def _metrics(result: EpochResult) -> dict[str, float]:
    return {
        VALIDATION_ACCURACY: result.val_accuracy,
        "val/loss": result.val_loss,
        TRAIN_LOSS: result.train_loss,
        EPOCH: result.epoch,
    }

"""The summary of a search in its parent run: sums, the best trial, figures, and every trial in one file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from workloads.tracking.tracker import MlflowTracker
from workloads.tuning.figures import draw
from workloads.tuning.states import FAILED
from workloads.tuning.study import Study
from workloads.tuning.totals import Totals
from workloads.tuning.trial import dataset_of

TRIALS = "trials.json"


def record_summary(
    parent: MlflowTracker, study: Study, totals: Totals, run_ids: Mapping[int, str], *, attempt: int
) -> None:
    """Record the search's state after its process number `attempt`; raise TrackingError."""
    metrics = totals.metrics()
    done = [trial for trial in study.trials if trial.val_accuracy is not None and trial.state != FAILED]
    if done:
        best = max(done, key=lambda trial: trial.val_accuracy or 0)
        metrics["best/val/accuracy"] = best.val_accuracy or 0.0
        params = {f"best.{key}": str(value) for key, value in best.params.items()}
        parent.set_tags({"best_trial": best.name, "best_run_id": run_ids.get(best.number, "")} | params)
        if study.is_complete:
            parent.log_params(params)
    parent.log_metrics(metrics, attempt)
    parent.set_tags({"ended_by": study.ended_by or ""})
    with tempfile.TemporaryDirectory(prefix="workloads-search-") as folder:
        trials = [trial.as_data() | {"run_id": run_ids.get(trial.number)} for trial in study.trials]
        (Path(folder) / TRIALS).write_text(json.dumps(trials, indent=1), encoding="utf-8")
        draw(Path(folder), study, dataset_of(study.config.data))
        parent.log_files(Path(folder), "search")

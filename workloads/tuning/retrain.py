"""The run that follows a search: the best parameters, trained in full, tested and registered."""

from __future__ import annotations

import json

from workloads.checkpoints.run_folder import RESULT, run_store
from workloads.config import TrainConfig
from workloads.environment import PlatformEnvironment
from workloads.ranks import Ranks
from workloads.training.options import TrainOptions
from workloads.training.resume import can_resume
from workloads.training.run import TrainResult, run
from workloads.tuning.options import SearchOptions
from workloads.tuning.trials import Trial


def retrain(
    search: str, config: TrainConfig, best: Trial, options: SearchOptions, environment: PlatformEnvironment
) -> TrainResult:
    """Train with the best trial's parameters; resume an unfinished run, return the result of a finished one."""
    name = f"{search}-best"
    store = run_store(environment, name)
    done = store.read(RESULT) if store else None
    if done is not None:
        return TrainResult(**json.loads(done))
    chosen = config.with_values({**best.params, "epochs": options.retrain_epochs})
    resumes = can_resume(environment, name, chosen)
    given = TrainOptions(run_name=name, tracking=options.tracking, register=options.tracking, resume=resumes)
    result = run(chosen, given, environment, Ranks())
    if result is None:
        raise RuntimeError("a run on one rank has a result")
    return result

"""The engine of a Ray cluster: Tune runs the trials in its workers, which it uses for many, and asks the study."""

from __future__ import annotations

import pickle
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune
from ray.exceptions import RayActorError, RayTaskError
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from workloads.errors import WorkloadError
from workloads.tuning.processes import Objective, job_of, reason_of
from workloads.tuning.study import Study
from workloads.tuning.trial import Job
from workloads.tuning.trials import EpochResult

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial as TuneTrial

NUMBER, ERROR = "number", "error"


def run(study: Study, objective: Objective, *, resources: dict[str, float], max_concurrent: int | None) -> None:
    """Run the study's trials to its end on the cluster that this process is connected to."""

    def trainable(config: dict[str, Any]) -> None:
        _run_trial(config, objective)

    with tempfile.TemporaryDirectory(prefix="workloads-search-") as folder:  # states lie with our checkpoints
        tune.Tuner(
            tune.with_resources(trainable, resources),
            tune_config=tune.TuneConfig(
                num_samples=-1,  # the searcher says when
                max_concurrent_trials=max_concurrent,
                reuse_actors=True,
                search_alg=_FromStudy(study),
                scheduler=_AsStudySays(study),
            ),
            run_config=tune.RunConfig(storage_path=folder, callbacks=[_ToldToStudy(study)], verbose=0),
        ).fit()


def _run_trial(config: dict[str, Any], objective: Objective) -> None:
    """In a worker."""

    def report(result: EpochResult) -> bool:
        tune.report(asdict(result))
        return True  # a trial that is to end does not come back from there

    try:
        objective(Job(**config), report)
    except WorkloadError as error:  # a fault of the trial: the worker is as good as before
        tune.report({ERROR: reason_of(error)})


class _Unkept:
    """Tune keeps copies of what it is given. Nothing is in these: a search goes on from its own folder."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _FromStudy(_Unkept, Searcher):
    """Gives Tune the study's trials."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self.study = study

    def suggest(self, trial_id: str) -> dict[str, Any] | None:  # noqa: ARG002  Ray's signature
        """The next one."""
        trial = self.study.next()
        if trial is None:
            return Searcher.FINISHED if self.study.is_over else None  # type: ignore[return-value]  # as its text says
        return asdict(job_of(self.study, trial))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the study is told by `_ToldToStudy`."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing."""


class _AsStudySays(_Unkept, FIFOScheduler):
    """Ends the trials that the study wants to end."""

    def __init__(self, study: Study) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray's
        self.study = study

    def on_trial_result(self, tune_controller: TuneController, trial: TuneTrial, result: dict[str, Any]) -> str:  # noqa: ARG002  Ray's signature
        """Tell the study of an epoch."""
        if ERROR in result:
            trial.config[ERROR] = result[ERROR]
            return TrialScheduler.STOP
        goes_on = self.study.report(trial.config[NUMBER], EpochResult.of(result))
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP


class _ToldToStudy(_Unkept, tune.Callback):
    """Tells the study what becomes of its trials."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def on_step_begin(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:  # noqa: ARG002  Ray's signature
        """End the search here if that was asked for."""
        self.study.raise_if_stopped()

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:  # noqa: ARG002  Ray's signature
        """A worker has it."""
        self.study.began(trial.config[NUMBER])

    def on_trial_complete(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:  # noqa: ARG002  Ray's signature
        """It ran to its end, or was ended."""
        self.study.end(trial.config[NUMBER], trial.config.get(ERROR))

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:  # noqa: ARG002  Ray's signature
        """It raised what is no fault of a trial, and lost its worker by that; or the worker is gone."""
        error = _error_of(trial)
        if isinstance(error, RayActorError):
            self.study.lost(trial.config[NUMBER], type(error).__name__)
        else:
            cause = error.cause if isinstance(error, RayTaskError) else error
            self.study.end(trial.config[NUMBER], reason_of(cause) if cause else "the reason is not known")


def _error_of(trial: TuneTrial) -> BaseException | None:
    """What Tune just wrote in its folder on this machine; `get_pickled_error` looks where it is copied to later."""
    path = trial.pickled_error_file
    error = pickle.loads(Path(path).read_bytes()) if path and Path(path).is_file() else None  # noqa: S301  our own file
    return error if isinstance(error, BaseException) else None

"""Sampling of trials' parameters by Optuna: at random, or by TPE, which learns from finished trials."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from workloads.tuning.space import Dimension, in_order, is_active
from workloads.tuning.states import COMPLETE, FAILED, PRUNED
from workloads.tuning.trials import Trial

RANDOM: Final = "random"
TPE: Final = "tpe"
SAMPLERS = (RANDOM, TPE)
STATES = {COMPLETE: TrialState.COMPLETE, PRUNED: TrialState.PRUNED, FAILED: TrialState.FAIL}
MAX_SEED = 2**32 - 1

optuna.logging.set_verbosity(optuna.logging.WARNING)


class TrialSampler:
    """Samples trials' parameters: a function of seed, trial number and, for TPE, the trials that finished before."""

    def __init__(self, space: Mapping[str, Dimension], *, kind: str, seed: int) -> None:
        self.space, self.kind, self.seed = space, kind, seed
        self.study = optuna.create_study(direction="maximize")  # in memory
        self.asked: dict[int, optuna.Trial] = {}

    def ask(self, number: int) -> dict[str, object]:
        """Sample the parameters of a new trial."""
        self.study.sampler = self._sampler(number)
        trial = self.asked[number] = self.study.ask()
        params: dict[str, object] = {}
        for key, dimension in in_order(self.space):
            if is_active(dimension, params):
                params[key] = _suggest(trial, key, distribution(dimension))
        return params

    def tell(self, trial: Trial) -> None:
        """Add a finished trial, also one that was sampled in another process."""
        asked = self.asked.pop(trial.number, None)
        if asked is None:
            self.study.add_trial(frozen_trial(trial, self.space))
            return
        for result in trial.results:
            asked.report(result.val_accuracy, result.epoch)
        state = STATES[trial.state]
        self.study.tell(asked, trial.val_accuracy if state is TrialState.COMPLETE else None, state)

    def _sampler(self, number: int) -> BaseSampler:
        # A sampler for each trial: a resumed search samples as if it had never stopped.
        seed = random.Random(f"{self.seed} {number}").randint(0, MAX_SEED)  # noqa: S311  no secret
        if self.kind == RANDOM:
            return RandomSampler(seed=seed)
        return TPESampler(seed=seed)


def distribution(dimension: Dimension) -> BaseDistribution:
    """Return Optuna's distribution for the dimension."""
    match dimension.kind:
        case "choice":
            return CategoricalDistribution(dimension.ends)  # type: ignore[arg-type]  # scalars, as parsed
        case "int" | "logint":
            low, high = (int(str(value)) for value in dimension.ends)
            return IntDistribution(low, high, log=dimension.kind == "logint")
        case _:
            lowest, highest = (float(str(value)) for value in dimension.ends)
            return FloatDistribution(lowest, highest, log=dimension.kind == "loguniform")


def frozen_trial(trial: Trial, space: Mapping[str, Dimension]) -> FrozenTrial:
    """Return a finished trial as Optuna's study stores it."""
    state = STATES[trial.state]
    values = {result.epoch: result.val_accuracy for result in trial.results}
    attributes: dict[str, object] = {"trial": trial.name, "seconds": trial.seconds}
    if trial.error:
        attributes["error"] = trial.error
    # A pruned trial's value is that of its last epoch, as `Study.tell` has it.
    return create_trial(
        state=state,
        value=None if state is TrialState.FAIL else trial.val_accuracy,
        params=dict(trial.params),
        distributions={key: distribution(space[key]) for key in trial.params},
        intermediate_values=values,
        user_attrs=attributes,
    )


def _suggest(trial: optuna.Trial, key: str, distribution_: BaseDistribution) -> object:
    match distribution_:
        case CategoricalDistribution():
            return trial.suggest_categorical(key, distribution_.choices)
        case IntDistribution():
            return trial.suggest_int(key, distribution_.low, distribution_.high, log=distribution_.log)
        case FloatDistribution():
            return trial.suggest_float(key, distribution_.low, distribution_.high, log=distribution_.log)
        case _:
            raise TypeError(f"cannot sample from {distribution_}")

"""What a search would take, told from a few steps of some of the trials that it would draw."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from workloads.config import TrainConfig
from workloads.environment import PlatformEnvironment
from workloads.errors import SearchError
from workloads.training.ranks import num_cores
from workloads.training.record import SECONDS_PER_HOUR, price_per_hour
from workloads.training.validate import validate
from workloads.tuning.draws import RANDOM, Draws
from workloads.tuning.engines import slots_here
from workloads.tuning.halving import expected_epochs
from workloads.tuning.options import SearchOptions
from workloads.tuning.search import check

NUM_MEASURED = 3
"""Trials whose steps are timed: widths make one trial cost several times another."""
FORWARD_SHARE = 1 / 3
"""Of a step's work, what an evaluation does for an image."""


@dataclass(frozen=True, kw_only=True)
class SearchForecast:
    """Of a search on machines like this one."""

    num_trials: int
    num_epochs: int
    """Of a trial that is not ended early."""
    epochs: float
    """Of all trials, if each pair compares at every epoch as at the last."""
    share: float
    """Of the epochs that there would be if no trial ended early."""
    seconds_per_epoch: float
    """Mean of some trials that would be drawn, evaluation included."""
    device: str
    num_slots: int
    hours: float
    usd: float | None
    """Where the environment says what an hour costs."""


def forecast(config: TrainConfig, options: SearchOptions, environment: PlatformEnvironment) -> SearchForecast:
    """What the search would take; raises WorkloadError for what would stop it, and for a price above the budget."""
    check(config, options, environment)
    price = price_per_hour(environment)
    slots = min(options.max_concurrent or slots_here(config), options.num_trials)
    draws = Draws(config.search.space, sampler=RANDOM, seed=config.seed)
    measured = [
        validate(
            config.with_values({"num_threads": max(1, num_cores() // slots), **draws.ask(number)}),
            environment,
            tracking=False,
        )
        for number in range(min(NUM_MEASURED, options.num_trials))
    ]
    seconds = statistics.mean(
        one.hours * SECONDS_PER_HOUR / config.epochs * (1 + FORWARD_SHARE * one.num_validation / one.num_train)
        for one in measured
    )
    epochs = expected_epochs(
        options.num_trials,
        num_epochs=config.epochs,
        grace=config.search.grace_epochs,
        factor=config.search.reduction_factor,
    )
    hours = epochs * seconds / slots / SECONDS_PER_HOUR
    usd = None if price is None else hours * price
    if options.budget_usd is not None and usd is not None and usd > options.budget_usd:
        raise SearchError(
            f"The search would cost about {usd:.2f} USD ({epochs:.0f} epochs of {seconds:.3g} s, {slots} at once, "
            f"{hours:.2f} hours at {price:g} USD), above the budget of {options.budget_usd:.2f} USD; lower "
            "--num-samples or --epochs, or raise --budget-usd"
        )
    return SearchForecast(
        num_trials=options.num_trials,
        num_epochs=config.epochs,
        epochs=epochs,
        share=epochs / options.num_trials / config.epochs,
        seconds_per_epoch=seconds,
        device=measured[0].device,
        num_slots=slots,
        hours=hours,
        usd=usd,
    )

"""The cost of a search before it starts: estimated from a few steps of some of the trials that it would sample."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from workloads.config import TrainConfig
from workloads.environment import PlatformEnvironment
from workloads.errors import SearchError
from workloads.price import SECONDS_PER_HOUR, price_per_hour, rounded
from workloads.ranks import num_cores
from workloads.training.validate import validate
from workloads.tuning.engines import num_local_slots
from workloads.tuning.halving import expected_epochs
from workloads.tuning.options import SearchOptions
from workloads.tuning.samplers import RANDOM, TrialSampler
from workloads.tuning.search import check

NUM_MEASURED = 3
"""Trials whose steps are timed: widths make one trial cost several times another."""
FORWARD_SHARE = 1 / 3
"""Cost of evaluating an image as a share of training on it."""


@dataclass(frozen=True, kw_only=True)
class SearchForecast:
    """The estimate of a search on machines like this one."""

    num_trials: int
    num_epochs: int
    """Epochs of a trial that is not stopped early."""
    epochs: float
    """Epochs of all trials, if two trials rank at every epoch as at the last."""
    share: float
    """Share of the epochs without early stopping, 0 to 1."""
    seconds_per_epoch: float
    """Mean time of an epoch with its evaluation, over some of the trials, in seconds."""
    device: str
    num_slots: int
    """Trials that run concurrently."""
    hours: float
    """Time of the whole search, in hours."""
    usd: float | None
    """Price in US dollars; None where no price per hour is configured."""


def forecast(config: TrainConfig, options: SearchOptions, environment: PlatformEnvironment) -> SearchForecast:
    """Estimate the cost of the search; raise WorkloadError for what would stop it or a price above the budget."""
    check(config, options, environment)
    price = price_per_hour(environment)
    slots = min(options.max_concurrent or num_local_slots(config), options.num_trials)
    sampler = TrialSampler(config.search.space, kind=RANDOM, seed=config.seed)
    measured = [
        validate(
            config.with_values({"num_threads": max(1, num_cores() // slots), **sampler.ask(number)}),
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
            f"The search would cost about {rounded(usd)} USD ({epochs:.0f} epochs of {seconds:.3g} s, {slots} at once, "
            f"{rounded(hours)} hours at {price:g} USD), above the budget of {options.budget_usd:g} USD; lower "
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

"""Learning rate schedules: a multiplier of the highest rate, as a function of the optimizer step alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

Schedule = Callable[[int, int, int], float]
"""A function of step (0-based), warmup_steps and total_steps that returns the multiplier."""

ONE_CYCLE_START, ONE_CYCLE_END = 1 / 25, 1 / 25e4
STEP_FACTOR = 0.1
STEPS_AT = (0.5, 0.75)


def warmup_cosine(step: int, warmup_steps: int, total_steps: int) -> float:
    """Return the multiplier in (0, 1] at `step` (0-based, per optimizer step).

    Linear warmup to 1, then cosine decay towards 0 (Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983). Raises
    ValueError unless 0 <= warmup_steps < total_steps and 0 <= step < total_steps.
    """
    _check(step, warmup_steps, total_steps)
    if step < warmup_steps:
        return _warmup(step, warmup_steps)
    return _cosine(1, 0, (step - warmup_steps) / (total_steps - warmup_steps))


def one_cycle(step: int, warmup_steps: int, total_steps: int) -> float:
    """Return the multiplier of the one-cycle schedule at `step` (0-based).

    A cosine from 1/25 up to 1, reached at `warmup_steps`, and one down to 1/250,000 at the last step: Smith & Topin
    2018, https://arxiv.org/abs/1708.07120, as torch's OneCycleLR has it. Raises ValueError as `warmup_cosine` does.
    """
    _check(step, warmup_steps, total_steps)
    if step < warmup_steps:
        return _cosine(ONE_CYCLE_START, 1, step / warmup_steps)
    return _cosine(1, ONE_CYCLE_END, (step - warmup_steps) / max(1, total_steps - 1 - warmup_steps))


def step_decay(step: int, warmup_steps: int, total_steps: int) -> float:
    """Return the multiplier of the step schedule at `step` (0-based).

    Linear warmup to 1, a tenth of it from half of the run on, a hundredth from three quarters on, as He et al. 2015
    trained on CIFAR-10 (https://arxiv.org/abs/1512.03385, 4.2). Raises ValueError as `warmup_cosine` does.
    """
    _check(step, warmup_steps, total_steps)
    rate = STEP_FACTOR ** sum(step >= part * total_steps for part in STEPS_AT)
    return rate * (_warmup(step, warmup_steps) if step < warmup_steps else 1)


SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {"warmup_cosine": warmup_cosine, "one_cycle": one_cycle, "step": step_decay}
)
"""The schedules by their names in a config."""


def _warmup(step: int, warmup_steps: int) -> float:
    return (step + 1) / (warmup_steps + 1)


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def _check(step: int, warmup_steps: int, total_steps: int) -> None:
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(f"warmup_steps is {warmup_steps}; it must be at least 0 and below total_steps, {total_steps}")
    if not 0 <= step < total_steps:
        raise ValueError(f"step is {step}; it must be at least 0 and below total_steps, {total_steps}")

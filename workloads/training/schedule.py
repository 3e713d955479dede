"""The learning rate over a run."""

from __future__ import annotations

import math


def warmup_cosine(step: int, *, warmup_steps: int, total_steps: int) -> float:
    """Multiplier in (0, 1] for the base learning rate at `step` (0-based, per optimizer step).

    Linear warmup to 1, then cosine decay towards 0 (Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983).
    Raises ValueError unless 0 <= warmup_steps < total_steps and 0 <= step < total_steps.
    """
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(f"warmup_steps is {warmup_steps}; it must be at least 0 and below total_steps, {total_steps}")
    if not 0 <= step < total_steps:
        raise ValueError(f"step is {step}; it must be at least 0 and below total_steps, {total_steps}")
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return (1 + math.cos(math.pi * progress)) / 2

"""Weights averaged over a run's steps, which judge and serve better than the last ones."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Average:
    """An exponential moving average of a module's weights and buffers.

    It keeps `decay` of itself at a step. In the first ones it keeps less, min(decay, (1 + step) / (10 + step)), since
    what it began with knows nothing (https://www.tensorflow.org/api_docs/python/tf/train/ExponentialMovingAverage).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after optimizer step number `step` (0-based)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averaged, newest = _tensors(self.module), _tensors(module)
        floats = [at for at, tensor in enumerate(averaged) if tensor.is_floating_point()]
        torch._foreach_lerp_([averaged[at] for at in floats], [newest[at] for at in floats], 1 - decay)
        for mine, theirs in zip(averaged, newest, strict=True):
            if not mine.is_floating_point():  # BatchNorm's count of batches
                mine.copy_(theirs)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]

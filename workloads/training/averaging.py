"""The exponential moving average of the weights, which often predicts better than the last weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Average:
    """An exponential moving average of a module's weights and buffers.

    It retains `decay` of itself per step. In the first steps it retains less, min(decay, (1 + step) / (10 + step)),
    since the initial weights carry no information
    (https://www.tensorflow.org/api_docs/python/tf/train/ExponentialMovingAverage).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Add the weights after optimizer step number `step` (0-based) to the average."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averaged, newest = _tensors(self.module), _tensors(module)
        floats = [at for at, tensor in enumerate(averaged) if tensor.is_floating_point()]
        torch._foreach_lerp_([averaged[at] for at in floats], [newest[at] for at in floats], 1 - decay)
        for mine, theirs in zip(averaged, newest, strict=True):
            if not mine.is_floating_point():  # BatchNorm's count of batches
                mine.copy_(theirs)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]

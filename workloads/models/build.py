"""The network that a config names, for the images of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from workloads.config import ModelConfig
from workloads.data.datasets import Split
from workloads.models.small_cnn import SmallCNN


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """All that builds a network again: kept beside its weights."""

    name: str
    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, config: ModelConfig, train: Split, num_classes: int) -> ModelSpec:
        """The network of `config` for images like those of `train`, whose mean and deviation it takes over."""
        pixels = train.images.transpose(0, 1).flatten(1).float() / 255
        arguments = {
            "in_channels": train.images.shape[1],
            "num_classes": num_classes,
            "mean": [round(value, 6) for value in pixels.mean(1).tolist()],
            # A channel that is one colour throughout has no deviation to divide by.
            "std": [round(value, 6) or 1.0 for value in pixels.std(1).tolist()],
            "width": config.width,
            "norm": config.norm,
            "dropout": config.dropout,
        }
        return cls(name=config.name, arguments=arguments)

    def build(self, seed: int) -> nn.Module:
        """The network with weights drawn from `seed`."""
        torch.manual_seed(seed)
        return {"small_cnn": SmallCNN}[self.name](**self.arguments)

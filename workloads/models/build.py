"""The network that a config names, for the images of a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from workloads.config import ModelConfig
from workloads.data.dataset import Split
from workloads.models import mobilenet, resnet, small_cnn
from workloads.models.classifier import ImageClassifier

Features = Callable[[int, int, str], tuple[nn.Module, int]]
"""A function of input channels, width and norm that returns the feature layers and the number of their outputs."""


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """The name and arguments that build a network; stored beside its weights."""

    name: str
    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, config: ModelConfig, train: Split, num_classes: int) -> ModelSpec:
        """Return the spec of the config's network for images like those of `train`, normalised by their statistics."""
        mean, std = train.mean_and_std()
        arguments = {
            "in_channels": train.images.shape[1],
            "image_size": max(train.images.shape[2:]),
            "num_classes": num_classes,
            "mean": mean,
            "std": std,
            "width": config.width or _WIDTHS[config.name],
            "norm": config.norm,
            "dropout": config.dropout,
        }
        return cls(name=config.name, arguments=arguments)

    def build(self, seed: int) -> nn.Module:
        """Build the network with weights drawn from `seed`."""
        torch.manual_seed(seed)
        given = dict(self.arguments)
        in_channels, width, norm, image_size = (
            given.pop(key) for key in ("in_channels", "width", "norm", "image_size")
        )
        features: dict[str, Features] = {
            "small_cnn": small_cnn.small_cnn,
            "resnet9": resnet.resnet9,
            "resnet18": resnet.resnet18,
            "mobilenet_v3_small": partial(mobilenet.mobilenet_v3_small, image_size=image_size),
            "mobilenet_v3_large": partial(mobilenet.mobilenet_v3_large, image_size=image_size),
        }
        layers, num_features = features[self.name](in_channels, width, norm)
        return ImageClassifier(layers, num_features=num_features, **given)


_WIDTHS = {
    "small_cnn": small_cnn.WIDTH,
    "resnet9": resnet.WIDTH,
    "resnet18": resnet.WIDTH,
    "mobilenet_v3_small": mobilenet.WIDTH,
    "mobilenet_v3_large": mobilenet.WIDTH,
}

"""The common part of all networks: uint8 images in, normalisation inside, float32 logits out.

Shapes: n images, c channels, h height, w width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ImageClassifier(nn.Module):
    """A network from uint8 [N, C, H, W], or float32 of the same range, to float32 logits [N, num_classes]."""

    mean: Tensor
    """float32 [1, C, 1, 1]: mean of training pixels / 255."""
    std: Tensor
    """float32 [1, C, 1, 1]: standard deviation of training pixels / 255."""

    def __init__(
        self,
        features: nn.Module,
        *,
        num_features: int,
        num_classes: int,
        mean: Sequence[float],
        std: Sequence[float],
        dropout: float,
    ) -> None:
        """Wrap `features`, which returns [N, num_features]; `mean` and `std` are of pixels / 255 per channel."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1))
        self.features = features
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(num_features, num_classes)

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Return logits, float32 [N, num_classes], of images with pixels from 0 to 255."""
        normalised = (images_nchw.float() / 255 - self.mean) / self.std
        logits: Tensor = self.classifier(self.dropout(self.features(normalised)))
        return logits.float()


def num_parameters(module: nn.Module) -> int:
    """Return the number of values in the module's parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def normalisation(norm: str, num_channels: int, *, max_groups: int = 32, eps: float = 1e-5) -> nn.Module:
    """Return BatchNorm for `batch`, or GroupNorm with the most groups, up to `max_groups`, that divide the channels."""
    if norm == "batch":
        return nn.BatchNorm2d(num_channels, eps=eps)
    return nn.GroupNorm(math.gcd(max_groups, num_channels), num_channels, eps=eps)


def convolution(
    in_channels: int, out_channels: int, norm: str, *, size: int = 3, stride: int = 1, max_groups: int = 32
) -> tuple[nn.Module, nn.Module]:
    """Return a convolution that keeps height and width (divided by `stride`), and its normalisation."""
    conv = nn.Conv2d(in_channels, out_channels, size, stride=stride, padding=size // 2, bias=False)
    return conv, normalisation(norm, out_channels, max_groups=max_groups)

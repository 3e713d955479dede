"""A convolutional net of three stages for small images, quick on a CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

NUM_GROUPS = 4
"""Groups of GroupNorm, or fewer where the channels do not divide by them."""


class SmallCNN(nn.Module):
    """uint8 [N, C, H, W] to float32 logits [N, num_classes], for images of 8 x 8 pixels and larger."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        mean: Sequence[float],
        std: Sequence[float],
        width: int,
        norm: str,
        dropout: float,
    ) -> None:
        """`mean` and `std` are those of the training pixels divided by 255, a value a channel."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1))
        self.features = nn.Sequential(
            *_stage(in_channels, width, norm),
            nn.MaxPool2d(2),
            *_stage(width, 2 * width, norm),
            nn.MaxPool2d(2),
            *_stage(2 * width, 4 * width, norm),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
        )
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(4 * width, num_classes)
        self.features.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Logits [N, num_classes] of uint8 images."""
        normalised = (images_nchw.float() / 255 - self.mean) / self.std
        logits: Tensor = self.classifier(self.dropout(self.features(normalised)))
        return logits


def _stage(in_channels: int, out_channels: int, norm: str) -> tuple[nn.Module, ...]:
    groups = math.gcd(NUM_GROUPS, out_channels)
    normalisation = nn.BatchNorm2d(out_channels) if norm == "batch" else nn.GroupNorm(groups, out_channels)
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False), normalisation, nn.ReLU(inplace=True)

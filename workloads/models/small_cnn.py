"""A convolutional net of three stages for small images, of 8 x 8 pixels and larger; quick on a CPU."""

from __future__ import annotations

from torch import nn

from workloads.models.classifier import convolution

WIDTH = 16
MAX_GROUPS = 4


def small_cnn(in_channels: int, width: int, norm: str) -> tuple[nn.Module, int]:
    """Return the feature layers and the number of their outputs.

    The three stages have `width` channels, twice and four times as many.
    """
    features = nn.Sequential(
        *_stage(in_channels, width, norm),
        nn.MaxPool2d(2),
        *_stage(width, 2 * width, norm),
        nn.MaxPool2d(2),
        *_stage(2 * width, 4 * width, norm),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
    )
    return features, 4 * width


def _stage(in_channels: int, out_channels: int, norm: str) -> tuple[nn.Module, ...]:
    return *convolution(in_channels, out_channels, norm, max_groups=MAX_GROUPS), nn.ReLU(inplace=True)

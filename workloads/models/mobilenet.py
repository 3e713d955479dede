"""MobileNetV3, small and large (Howard et al. 2019, https://arxiv.org/abs/1905.02244, tables 1 and 2).

Shapes: n images, c channels, h height, w width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from torch import Tensor, nn

from workloads.models.classifier import normalisation

WIDTH = 16
"""Channels of the stem in the paper."""
EPS: Final = 1e-3
SMALL_IMAGE: Final = 64
"""Largest image side, in pixels, for which two of the five strides of 2 become 1: else an image of 32 ends as one
pixel."""


@dataclass(frozen=True)
class _Row:
    """A row of the paper's tables: kernel, expanded and output channels, whether squeezed, activation, stride."""

    kernel: int
    expanded: int
    out: int
    squeezes: bool
    activation: type[nn.Module]
    stride: int


_RE, _HS = nn.ReLU, nn.Hardswish
SMALL = (
    _Row(3, 16, 16, True, _RE, 2),
    _Row(3, 72, 24, False, _RE, 2),
    _Row(3, 88, 24, False, _RE, 1),
    _Row(5, 96, 40, True, _HS, 2),
    _Row(5, 240, 40, True, _HS, 1),
    _Row(5, 240, 40, True, _HS, 1),
    _Row(5, 120, 48, True, _HS, 1),
    _Row(5, 144, 48, True, _HS, 1),
    _Row(5, 288, 96, True, _HS, 2),
    _Row(5, 576, 96, True, _HS, 1),
    _Row(5, 576, 96, True, _HS, 1),
)
LARGE = (
    _Row(3, 16, 16, False, _RE, 1),
    _Row(3, 64, 24, False, _RE, 2),
    _Row(3, 72, 24, False, _RE, 1),
    _Row(5, 72, 40, True, _RE, 2),
    _Row(5, 120, 40, True, _RE, 1),
    _Row(5, 120, 40, True, _RE, 1),
    _Row(3, 240, 80, False, _HS, 2),
    _Row(3, 200, 80, False, _HS, 1),
    _Row(3, 184, 80, False, _HS, 1),
    _Row(3, 184, 80, False, _HS, 1),
    _Row(3, 480, 112, True, _HS, 1),
    _Row(3, 672, 112, True, _HS, 1),
    _Row(5, 672, 160, True, _HS, 2),
    _Row(5, 960, 160, True, _HS, 1),
    _Row(5, 960, 160, True, _HS, 1),
)


def mobilenet_v3(
    rows: tuple[_Row, ...], num_features: int, in_channels: int, width: int, norm: str, *, image_size: int
) -> tuple[nn.Module, int]:
    """Return the feature layers and the number of their outputs.

    `width` is 16 in the paper; all channels but the last layer's scale with it. `image_size` is in pixels.
    """
    scale = partial(_scaled, width / WIDTH)
    halvings_left_out = 2 if image_size <= SMALL_IMAGE else 0
    stem_stride = 1 if halvings_left_out else 2
    channels = scale(WIDTH)
    layers = [*_layer(in_channels, channels, norm, stride=stem_stride), _HS(inplace=True)]
    halvings_left_out -= 1
    for row in rows:
        stride = row.stride
        if stride == 2 and halvings_left_out > 0:
            stride, halvings_left_out = 1, halvings_left_out - 1
        expanded, out = scale(row.expanded), scale(row.out)
        layers.append(_Bottleneck(row, channels, expanded, out, stride, norm))
        channels = out
    last = 6 * channels
    layers += [*_layer(channels, last, norm, kernel=1), _HS(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(last, num_features), _HS(inplace=True)), num_features


mobilenet_v3_small = partial(mobilenet_v3, SMALL, 1024)
mobilenet_v3_large = partial(mobilenet_v3, LARGE, 1280)


def _scaled(factor: float, channels: int) -> int:
    """Round channels to a multiple of 8 that is at least 0.9 of `factor` times `channels`."""
    wanted = factor * channels
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def _layer(
    in_channels: int, out_channels: int, norm: str, *, kernel: int = 3, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, nn.Module]:
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
    return conv, normalisation(norm, out_channels, eps=EPS)


class _Bottleneck(nn.Module):
    """An inverted residual block: expand, depthwise convolution, squeeze-and-excite, project, skip connection."""

    def __init__(self, row: _Row, in_channels: int, expanded: int, out: int, stride: int, norm: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if expanded != in_channels:
            layers += [*_layer(in_channels, expanded, norm, kernel=1), row.activation(inplace=True)]
        layers += _layer(expanded, expanded, norm, kernel=row.kernel, stride=stride, groups=expanded)
        layers.append(row.activation(inplace=True))
        if row.squeezes:
            layers.append(_SqueezeExcite(expanded))
        layers += _layer(expanded, out, norm, kernel=1)
        self.layers = nn.Sequential(*layers)
        self.goes_around = stride == 1 and in_channels == out

    def forward(self, features_nchw: Tensor) -> Tensor:
        changed: Tensor = self.layers(features_nchw)
        return features_nchw + changed if self.goes_around else changed


class _SqueezeExcite(nn.Module):
    """Scales each channel by a weight computed from the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = _scaled(0.25, channels)
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, channels, 1),
            nn.Hardsigmoid(inplace=True),
        )

    def forward(self, features_nchw: Tensor) -> Tensor:
        weighed: Tensor = features_nchw * self.weigh(features_nchw)
        return weighed

"""Residual networks for images of about 32 x 32 pixels (He et al. 2015, https://arxiv.org/abs/1512.03385).

Shapes: n images, c channels, h height, w width.
"""

from __future__ import annotations

from torch import Tensor, nn

from workloads.models.classifier import convolution

WIDTH = 64


def resnet9(in_channels: int, width: int, norm: str) -> tuple[nn.Module, int]:
    """Return nine quickly training layers (https://myrtle.ai/learn/how-to-train-your-resnet-4-architecture/)."""
    features = nn.Sequential(
        *_layer(in_channels, width, norm),
        *_layer(width, 2 * width, norm),
        nn.MaxPool2d(2),
        _Residual(2 * width, norm),
        *_layer(2 * width, 4 * width, norm),
        nn.MaxPool2d(2),
        *_layer(4 * width, 8 * width, norm),
        nn.MaxPool2d(2),
        _Residual(8 * width, norm),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
    )
    return features, 8 * width


def resnet18(in_channels: int, width: int, norm: str) -> tuple[nn.Module, int]:
    """Return eight basic blocks behind a stem that keeps the image's size: one 3 x 3 convolution, no pooling."""
    stages = [(width, 1), (2 * width, 2), (4 * width, 2), (8 * width, 2)]
    blocks, channels = [], width
    for out_channels, stride in stages:
        blocks += [_Basic(channels, out_channels, stride, norm), _Basic(out_channels, out_channels, 1, norm)]
        channels = out_channels
    stem = _layer(in_channels, width, norm)
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()), channels


def _layer(in_channels: int, out_channels: int, norm: str) -> tuple[nn.Module, ...]:
    return *convolution(in_channels, out_channels, norm), nn.ReLU(inplace=True)


class _Residual(nn.Module):
    """Two layers with a skip connection."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_layer(channels, channels, norm), *_layer(channels, channels, norm))

    def forward(self, features_nchw: Tensor) -> Tensor:
        changed: Tensor = self.layers(features_nchw)
        return features_nchw + changed


class _Basic(nn.Module):
    """Two convolutions with a skip connection, added before the last activation."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *convolution(in_channels, out_channels, norm, stride=stride),
            nn.ReLU(inplace=True),
            *convolution(out_channels, out_channels, norm),
        )
        same = stride == 1 and in_channels == out_channels
        around = () if same else convolution(in_channels, out_channels, norm, size=1, stride=stride)
        self.around = nn.Sequential(*around)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, features_nchw: Tensor) -> Tensor:
        summed: Tensor = self.activation(self.layers(features_nchw) + self.around(features_nchw))
        return summed

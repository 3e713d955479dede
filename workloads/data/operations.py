"""What an augmentation policy can do to images: on uint8 [B, C, H, W], each image with a strength of its own.

A strength is from -1 to 1; those operations that have no direction take its size. Largest strengths are those of
AutoAugment and RandAugment (https://arxiv.org/abs/1909.13719, as torchvision has them), or the wide ones of
TrivialAugment (https://arxiv.org/abs/2103.10158, table 1). Each result depends on its own image alone, to the bit:
sums are of whole numbers, so that it does not matter with which others an image shares a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

Operation = Callable[[Tensor, Tensor, bool], Tensor]
"""From images, float32 [B] strengths and whether these are of the wide kind, to images."""

SHEAR: Final = (0.3, 0.99)
"""Largest, and largest of the wide kind; likewise below."""
ROTATION_DEGREES: Final = (30.0, 135.0)
SHIFT_SHARE: Final = 150 / 331
WIDE_SHIFT_PIXELS: Final = 32.0
BLEND: Final = (0.9, 0.99)
BITS_LOST: Final = (4, 6)
GREY: Final = (299, 587, 114)
"""Thousandths of red, green and blue in grey (ITU-R 601-2, as Pillow has it)."""


def identity(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:  # noqa: ARG001  one of the operations
    """As they are."""
    return images


def shear(images: Tensor, strengths: Tensor, is_wide: bool, *, axis: int) -> Tensor:
    """Rows (axis 0) or columns (axis 1) pushed along each other."""
    amount = strengths * SHEAR[is_wide]
    one, zero = torch.ones_like(amount), torch.zeros_like(amount)
    return _resampled(images, (one, amount, zero, one) if axis == 0 else (one, zero, amount, one), (zero, zero))


def translate(images: Tensor, strengths: Tensor, is_wide: bool, *, axis: int) -> Tensor:
    """Shifted along x (axis 0) or y (axis 1) by whole pixels."""
    size = images.shape[3 - axis]
    largest = min(WIDE_SHIFT_PIXELS, size) if is_wide else SHIFT_SHARE * size
    amount = (strengths * largest).trunc()
    one, zero = torch.ones_like(amount), torch.zeros_like(amount)
    return _resampled(images, (one, zero, zero, one), (amount, zero) if axis == 0 else (zero, amount))


def rotate(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:
    """Turned about the middle."""
    angle = strengths * math.radians(ROTATION_DEGREES[is_wide])
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return _resampled(images, (cos, -sin, sin, cos), (zero, zero))


def brightness(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:
    """Away from black, or towards it."""
    return _blended(images, torch.zeros_like(images), strengths * BLEND[is_wide])


def color(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:
    """Away from grey, or towards it; grey images stay."""
    return _blended(images, _grey(images), strengths * BLEND[is_wide])


def contrast(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:
    """Away from the image's mean grey, or towards it."""
    grey = _grey(images).long()
    num_pixels = math.prod(grey.shape[2:])
    mean = (2 * grey.sum((1, 2, 3), keepdim=True) + num_pixels) // (2 * num_pixels)
    return _blended(images, mean, strengths * BLEND[is_wide])


def sharpness(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:
    """Away from a smoothed image, or towards it; the pixels at the edge stay."""
    whole = images.int()
    height, width = images.shape[2:]
    inner = whole[:, :, 1:-1, 1:-1]
    around = sum(
        whole[:, :, down : height - 2 + down, across : width - 2 + across] for down in range(3) for across in range(3)
    )
    smooth = whole.clone()
    smooth[:, :, 1:-1, 1:-1] = (2 * (around + 4 * inner) + 13) // 26
    return _blended(images, smooth, strengths * BLEND[is_wide])


def posterize(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:
    """Fewer bits a pixel."""
    bits_lost = (strengths.abs() * BITS_LOST[is_wide]).round().to(torch.uint8)
    return (images >> bits_lost[:, None, None, None]) << bits_lost[:, None, None, None]


def solarize(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:  # noqa: ARG001  no wider one
    """The brightest pixels inverted."""
    threshold = 255 * (1 - strengths.abs())
    return torch.where(images >= threshold[:, None, None, None], 255 - images, images)


def auto_contrast(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:  # noqa: ARG001  has no strength
    """Each channel stretched to 0-255."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    stretched = (images - low).double() * 255 / (high - low).clamp(min=1)
    return torch.where(high > low, stretched.to(torch.uint8), images)


def equalize(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:  # noqa: ARG001  has no strength
    """Each channel's values spread so that all are as frequent, as Pillow does it."""
    flat = images.flatten(2).flatten(0, 1).long()
    counts = torch.zeros(len(flat), 256, dtype=torch.int64, device=images.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat))
    of_brightest = counts.gather(1, flat.amax(1, keepdim=True))
    step = (flat.shape[1] - of_brightest) // 255
    before = counts.cumsum(1) - counts
    table = ((before + step // 2) // step.clamp(min=1)).clamp(max=255)
    return torch.where(step > 0, table.gather(1, flat), flat).to(torch.uint8).reshape(images.shape)


def invert(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:  # noqa: ARG001  has no strength
    """Black for white."""
    return 255 - images


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "identity": identity,
        "shear_x": partial(shear, axis=0),
        "shear_y": partial(shear, axis=1),
        "translate_x": partial(translate, axis=0),
        "translate_y": partial(translate, axis=1),
        "rotate": rotate,
        "brightness": brightness,
        "color": color,
        "contrast": contrast,
        "sharpness": sharpness,
        "posterize": posterize,
        "solarize": solarize,
        "auto_contrast": auto_contrast,
        "equalize": equalize,
        "invert": invert,
    }
)
"""By the names that `policies` uses."""


def _blended(images: Tensor, others: Tensor, amounts: Tensor) -> Tensor:
    factor = (1 + amounts)[:, None, None, None]
    blended = others + (images.float() - others) * factor
    return blended.round().clamp(0, 255).to(torch.uint8)


def _grey(images: Tensor) -> Tensor:
    """[B, 1, H, W]."""
    if images.shape[1] != len(GREY):
        return images[:, :1]
    thousandths = torch.tensor(GREY, device=images.device)[:, None, None]
    return ((images.int() * thousandths).sum(1, keepdim=True) + 500) // 1000


def _resampled(images: Tensor, matrix: tuple[Tensor, ...], shift: tuple[Tensor, Tensor]) -> Tensor:
    """Where each pixel comes from is `matrix` [[a, b], [c, d]] times its (x, y) from the middle, less `shift`.

    The nearest pixel is taken, black from outside. Written out rather than as a product of matrices, whose last bits
    depend on how many there are.
    """
    height, width = images.shape[2:]
    a, b, c, d = (each[:, None, None] for each in matrix)
    right, down = (each[:, None, None] for each in shift)
    y = (torch.arange(height, device=images.device) - (height - 1) / 2)[None, :, None]
    x = (torch.arange(width, device=images.device) - (width - 1) / 2)[None, None, :]
    from_x = (a * x + b * y - right + (width - 1) / 2).round().clamp(-1, width).long() + 1
    from_y = (c * x + d * y - down + (height - 1) / 2).round().clamp(-1, height).long() + 1
    padded_bhwc = pad(images, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    at = torch.arange(len(images), device=images.device)[:, None, None]
    return padded_bhwc[at, from_y, from_x].permute(0, 3, 1, 2)

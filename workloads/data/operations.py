"""The image operations of augmentation policies: on uint8 [B, C, H, W], each image with its own strength.

A strength is from -1 to 1; operations without a direction use its absolute value. Largest strengths are those of
AutoAugment and RandAugment (https://arxiv.org/abs/1909.13719, as torchvision has them), or the wide ones of
TrivialAugment (https://arxiv.org/abs/2103.10158, table 1). Each result depends on its own image alone, bit for bit:
sums are of integers, so the other images of a batch do not matter.

Shapes: b images, h height, w width, c channels.
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
"""A function of images, uint8 [B, C, H, W], strengths, float32 [B], and whether they are wide, to images."""

SHEAR: Final = (0.3, 0.99)
"""Largest shear factor, and largest wide one."""
ROTATION_DEGREES: Final = (30.0, 135.0)
"""Largest rotation, and largest wide one, in degrees."""
SHIFT_SHARE: Final = 150 / 331
"""Largest shift as a share of the image's side."""
WIDE_SHIFT_PIXELS: Final = 32.0
"""Largest wide shift, in pixels."""
BLEND: Final = (0.9, 0.99)
"""Largest blending amount, and largest wide one."""
BITS_LOST: Final = (4, 6)
"""Most bits per pixel that posterizing removes, and most of the wide kind."""
GREY: Final = (299, 587, 114)
"""Thousandths of red, green and blue in grey (ITU-R 601-2, as Pillow has it)."""


def identity(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:  # noqa: ARG001  one of the operations
    """Return the images unchanged."""
    return images


def shear(images: Tensor, strengths: Tensor, is_wide: bool, *, axis: int) -> Tensor:
    """Shear the images along rows (axis 0) or columns (axis 1)."""
    amount = strengths * SHEAR[is_wide]
    one, zero = torch.ones_like(amount), torch.zeros_like(amount)
    return _resampled(images, (one, amount, zero, one) if axis == 0 else (one, zero, amount, one), (zero, zero))


def translate(images: Tensor, strengths: Tensor, is_wide: bool, *, axis: int) -> Tensor:
    """Shift the images along x (axis 0) or y (axis 1) by whole pixels."""
    size = images.shape[3 - axis]
    largest = min(WIDE_SHIFT_PIXELS, size) if is_wide else SHIFT_SHARE * size
    amount = (strengths * largest).trunc()
    one, zero = torch.ones_like(amount), torch.zeros_like(amount)
    return _resampled(images, (one, zero, zero, one), (amount, zero) if axis == 0 else (zero, amount))


def rotate(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:
    """Rotate the images about their center."""
    angle = strengths * math.radians(ROTATION_DEGREES[is_wide])
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return _resampled(images, (cos, -sin, sin, cos), (zero, zero))


def brightness(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:
    """Blend the images with black, or away from it."""
    return _blended(images, torch.zeros_like(images), strengths * BLEND[is_wide])


def color(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:
    """Blend the images with their grey version, or away from it; grey images stay."""
    return _blended(images, _grey(images), strengths * BLEND[is_wide])


def contrast(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:
    """Blend the images with their mean grey, or away from it."""
    grey = _grey(images).long()
    num_pixels = math.prod(grey.shape[2:])
    mean = (2 * grey.sum((1, 2, 3), keepdim=True) + num_pixels) // (2 * num_pixels)
    return _blended(images, mean, strengths * BLEND[is_wide])


def sharpness(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:
    """Blend the images with a smoothed version, or away from it; the border pixels stay."""
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
    """Reduce the bits per pixel."""
    bits_lost = (strengths.abs() * BITS_LOST[is_wide]).round().to(torch.uint8)
    return (images >> bits_lost[:, None, None, None]) << bits_lost[:, None, None, None]


def solarize(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:  # noqa: ARG001  no wider one
    """Invert the brightest pixels."""
    threshold = 255 * (1 - strengths.abs())
    return torch.where(images >= threshold[:, None, None, None], 255 - images, images)


def auto_contrast(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:  # noqa: ARG001  has no strength
    """Stretch each channel to 0-255."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    stretched = (images - low).double() * 255 / (high - low).clamp(min=1)
    return torch.where(high > low, stretched.to(torch.uint8), images)


def equalize(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:  # noqa: ARG001  has no strength
    """Equalize the histogram of each channel, as Pillow does."""
    flat = images.flatten(2).flatten(0, 1).long()
    counts = torch.zeros(len(flat), 256, dtype=torch.int64, device=images.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat))
    of_brightest = counts.gather(1, flat.amax(1, keepdim=True))
    step = (flat.shape[1] - of_brightest) // 255
    before = counts.cumsum(1) - counts
    table = ((before + step // 2) // step.clamp(min=1)).clamp(max=255)
    return torch.where(step > 0, table.gather(1, flat), flat).to(torch.uint8).reshape(images.shape)


def invert(images: Tensor, strengths: Tensor, is_wide: bool) -> Tensor:  # noqa: ARG001  has no strength
    """Invert the images."""
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
"""The operations, by the names that `policies` uses."""


def _blended(images: Tensor, others: Tensor, amounts: Tensor) -> Tensor:
    factor = (1 + amounts)[:, None, None, None]
    blended = others + (images.float() - others) * factor
    return blended.round().clamp(0, 255).to(torch.uint8)


def _grey(images: Tensor) -> Tensor:
    """Return the grey version, [B, 1, H, W]."""
    if images.shape[1] != len(GREY):
        return images[:, :1]
    thousandths = torch.tensor(GREY, device=images.device)[:, None, None]
    return ((images.int() * thousandths).sum(1, keepdim=True) + 500) // 1000


def _resampled(images: Tensor, matrix: tuple[Tensor, ...], shift: tuple[Tensor, Tensor]) -> Tensor:
    """Sample each pixel at `matrix` [[a, b], [c, d]] times its (x, y) from the center, less `shift`.

    The nearest pixel is taken, black outside of the image. Written out rather than as a product of matrices, whose last
    bits depend on how many there are.
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

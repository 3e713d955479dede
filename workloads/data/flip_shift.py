"""Flips, shifts and erasing of images; a sample's random parameters depend on (seed, epoch, sample) alone.

Shapes: n samples of the split, b images of a batch, c channels, h height, w width; r and (second) c offsets of rows and
columns in the padded image; 4 the numbers of a box.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from workloads.data.order import AUGMENTATION_STREAM, ERASE_STREAM

SHIFT: Final = 2
"""Largest shift, in pixels."""
ERASED_AREA: Final = (0.02, 1 / 3)
"""Range of the erased rectangle's share of the image (https://arxiv.org/abs/1708.04896)."""
ERASED_ASPECT: Final = (0.3, 3.3)
"""Range of its height divided by its width."""


@dataclass(frozen=True, kw_only=True)
class FlipShift:
    """The random parameters of one epoch: whether each sample of the split is flipped and how far it is shifted."""

    flips: Tensor
    """bool [N]: whether the image is flipped left to right."""
    rows: Tensor
    """int64 [N] in [0, 2 * SHIFT]: first row of the padded image that is kept."""
    columns: Tensor
    """int64 [N] in [0, 2 * SHIFT]: first column of the padded image that is kept."""

    @classmethod
    def draw(cls, seed: int, epoch: int, num_samples: int, device: torch.device | str = "cpu") -> FlipShift:
        """Draw the parameters of every sample of one epoch."""
        rng = np.random.default_rng((seed, epoch, AUGMENTATION_STREAM))
        flips = torch.from_numpy(rng.integers(0, 2, num_samples)).bool()
        rows, columns = torch.from_numpy(rng.integers(0, 2 * SHIFT + 1, (2, num_samples)))
        return cls(flips=flips.to(device), rows=rows.to(device), columns=columns.to(device))

    def apply(self, images_bchw: Tensor, samples: Tensor) -> Tensor:
        """Return the flipped and shifted images, uint8 [B, C, H, W], of samples int64 [B], filled with black."""
        flips, rows, columns = self.flips[samples], self.rows[samples], self.columns[samples]
        height, width = images_bchw.shape[-2:]
        padded = torch.nn.functional.pad(images_bchw, (SHIFT, SHIFT, SHIFT, SHIFT))
        places_bcrchw = padded.unfold(2, height, 1).unfold(3, width, 1)
        shifted = places_bcrchw[torch.arange(len(samples), device=samples.device), :, rows, columns]
        return torch.where(flips[:, None, None, None], shifted.flip(-1), shifted)


@dataclass(frozen=True, kw_only=True)
class Erase:
    """The random parameters of one epoch: for each sample, whether a rectangle of it is erased, and which."""

    chosen: Tensor
    """bool [N]: whether the sample loses a rectangle."""
    box_n4: Tensor
    """float32 [N, 4]: top and left as shares of the room that the rectangle leaves, height and width as shares of the
    image."""

    @classmethod
    def draw(
        cls, probability: float, seed: int, epoch: int, num_samples: int, device: torch.device | str = "cpu"
    ) -> Erase:
        """Draw the parameters of every sample of one epoch."""
        rng = np.random.default_rng((seed, epoch, ERASE_STREAM))
        chosen = rng.random(num_samples) < probability
        area = rng.uniform(ERASED_AREA[0], ERASED_AREA[1], num_samples)
        aspect = np.exp(rng.uniform(math.log(ERASED_ASPECT[0]), math.log(ERASED_ASPECT[1]), num_samples))
        top, left = rng.random((2, num_samples))
        box_n4 = np.stack([top, left, np.sqrt(area * aspect), np.sqrt(area / aspect)], axis=1).clip(max=1)
        return cls(chosen=torch.from_numpy(chosen).to(device), box_n4=torch.from_numpy(box_n4).float().to(device))

    def apply(self, images_bchw: Tensor, samples: Tensor) -> Tensor:
        """Return the images, uint8 [B, C, H, W], of samples int64 [B], with the rectangles of the chosen ones black."""
        inside_b1hw = rectangles(self.box_n4[samples], *images_bchw.shape[-2:])
        return images_bchw.masked_fill(inside_b1hw & self.chosen[samples, None, None, None], 0)


def rectangles(box_b4: Tensor, height: int, width: int) -> Tensor:
    """Return the pixels within each box of `box_b4` (see `Erase.box_n4`), as bool [B, 1, H, W]."""
    inside = []
    for size, (start_b, part_b) in ((height, box_b4[:, 0::2].T), (width, box_b4[:, 1::2].T)):
        pixels_b = (part_b * size).round()
        first_b = (start_b * (size - pixels_b)).round()
        at = torch.arange(size, device=box_b4.device)
        inside.append((at >= first_b[:, None]) & (at < (first_b + pixels_b)[:, None]))
    down_bh, across_bw = inside
    inside_bhw: Tensor = down_bh[:, :, None] & across_bw[:, None, :]
    return inside_bhw.unsqueeze(1)

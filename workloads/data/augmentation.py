"""Random changes to training images, on whole batches; a sample's draw depends on (seed, epoch, sample) alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

AUGMENTATION_STREAM: Final = 1
SHIFT: Final = 2
"""Largest shift in pixels."""


@dataclass(frozen=True, kw_only=True)
class FlipShift:
    """The draws of one epoch: for each sample of the split, whether it is mirrored and how far it is shifted."""

    flips: Tensor
    """bool [N]."""
    rows: Tensor
    """int64 [N] in [0, 2 * SHIFT]: first row of the padded image that is kept; `columns` likewise."""
    columns: Tensor

    @classmethod
    def draw(cls, seed: int, epoch: int, num_samples: int) -> FlipShift:
        """The draws for every sample of one epoch."""
        draw = np.random.default_rng((seed, epoch, AUGMENTATION_STREAM))
        flips = torch.from_numpy(draw.integers(0, 2, num_samples)).bool()
        rows, columns = torch.from_numpy(draw.integers(0, 2 * SHIFT + 1, (2, num_samples)))
        return cls(flips=flips, rows=rows, columns=columns)

    def apply(self, images: Tensor, samples: Tensor) -> Tensor:
        """uint8 [B, C, H, W]: the images at int64 `samples` [B], each changed by its own draw; black moves in."""
        images_bchw = images[samples]
        flips, rows, columns = (draws.to(samples.device)[samples] for draws in (self.flips, self.rows, self.columns))
        height, width = images_bchw.shape[-2:]
        padded = torch.nn.functional.pad(images_bchw, (SHIFT, SHIFT, SHIFT, SHIFT))
        across = torch.arange(width, device=samples.device)
        across_bw = torch.where(flips[:, None], across.flip(0), across) + columns[:, None]
        down_bh = torch.arange(height, device=samples.device) + rows[:, None]
        at = torch.arange(len(samples), device=samples.device)
        changed_bhwc = padded.permute(0, 2, 3, 1)[at[:, None, None], down_bh[:, :, None], across_bw[:, None, :]]
        return changed_bhwc.permute(0, 3, 1, 2)

"""MixUp and CutMix; a sample's mixing partner depends on (seed, epoch, sample) alone.

Shapes: n samples of the split, b images of a batch, h height, w width, k classes; 4 the numbers of a box.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from workloads.data.flip_shift import rectangles
from workloads.data.order import MIX_STREAM


@dataclass(frozen=True, kw_only=True)
class Mix:
    """The random parameters of one epoch: each sample's partner among all samples, and the partner's share."""

    cuts: bool
    """Whether the partner replaces a rectangle (CutMix, https://arxiv.org/abs/1905.04899) or is blended in everywhere
    (MixUp, https://arxiv.org/abs/1710.09412)."""
    partners: Tensor
    """int64 [N]: position of each sample's partner."""
    box_n4: Tensor
    """float32 [N, 4]: boxes as `rectangles` takes them; the partner's share of the image is height times width."""

    @classmethod
    def draw(
        cls, kind: str, alpha: float, seed: int, epoch: int, num_samples: int, device: torch.device | str = "cpu"
    ) -> Mix:
        """Draw the parameters of every sample of one epoch; `kind` is mixup or cutmix."""
        rng = np.random.default_rng((seed, epoch, MIX_STREAM))
        partners = torch.from_numpy(rng.permutation(num_samples))
        side = np.sqrt(rng.beta(alpha, alpha, num_samples))
        top, left = rng.random((2, num_samples))
        box_n4 = torch.from_numpy(np.stack([top, left, side, side], axis=1)).float()
        return cls(cuts=kind == "cutmix", partners=partners.to(device), box_n4=box_n4.to(device))

    def apply(
        self, images: Tensor, others: Tensor, labels: Tensor, other_labels: Tensor, samples: Tensor, num_classes: int
    ) -> tuple[Tensor, Tensor]:
        """Return images mixed with `others` and float32 targets [B, num_classes] with the share of each class.

        `images` and `others` are uint8 [B, C, H, W], `labels` and `other_labels` int64 [B], `samples` int64 [B]. The
        images are uint8 after CutMix and float32 after MixUp.
        """
        box_b4 = self.box_n4[samples]
        height, width = images.shape[-2:]
        if self.cuts:
            inside_b1hw = rectangles(box_b4, height, width)
            images = torch.where(inside_b1hw, others, images)
            share_b = inside_b1hw.sum((1, 2, 3)) / math.prod((height, width))  # of whole pixels
        else:
            share_b = box_b4[:, 2] * box_b4[:, 3]
            images = torch.lerp(images.float(), others.float(), share_b[:, None, None, None])
        own_bk, other_bk = (one_hot(each, num_classes).float() for each in (labels, other_labels))
        return images, torch.lerp(own_bk, other_bk, share_b[:, None])

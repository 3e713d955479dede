"""Images mixed with others, and their labels with them; a sample's partner depends on (seed, epoch, sample) alone."""

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
    """The draws of one epoch: for each sample its partner among all samples, and how much it gives up to it."""

    cuts: bool
    """Whether the partner fills a rectangle (CutMix, https://arxiv.org/abs/1905.04899) or shines through everywhere
    (MixUp, https://arxiv.org/abs/1710.09412)."""
    partners: Tensor
    """int64 [N]."""
    box_n4: Tensor
    """float [N, 4]: as `rectangles` takes it; the partner's share of the image is height times width."""

    @classmethod
    def draw(
        cls, kind: str, alpha: float, seed: int, epoch: int, num_samples: int, device: torch.device | str = "cpu"
    ) -> Mix:
        """The draws for every sample of one epoch; `kind` is mixup or cutmix."""
        draw = np.random.default_rng((seed, epoch, MIX_STREAM))
        partners = torch.from_numpy(draw.permutation(num_samples))
        side = np.sqrt(draw.beta(alpha, alpha, num_samples))
        top, left = draw.random((2, num_samples))
        box_n4 = torch.from_numpy(np.stack([top, left, side, side], axis=1)).float()
        return cls(cuts=kind == "cutmix", partners=partners.to(device), box_n4=box_n4.to(device))

    def apply(
        self, images: Tensor, others: Tensor, labels: Tensor, other_labels: Tensor, samples: Tensor, num_classes: int
    ) -> tuple[Tensor, Tensor]:
        """Images mixed with `others`, and float targets [B, num_classes] that say by how much."""
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

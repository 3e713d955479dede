"""RandAugment, TrivialAugment and AutoAugment on whole batches, random by (seed, epoch, sample) alone.

Shapes: n samples of the split, b images of a batch, s operations of a sample in sequence, p pairs of AutoAugment, c
channels, h height, w width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from workloads.data.operations import OPERATIONS, Operation
from workloads.data.order import POLICY_STREAM

NAMES: Final = tuple(OPERATIONS)
COMMON: Final = tuple(at for at, name in enumerate(NAMES) if name != "invert")
"""Positions in `NAMES` of the operations of RandAugment and TrivialAugment; AutoAugment alone inverts."""
LEVELS: Final = 30
"""Largest magnitude of RandAugment and TrivialAugment."""
AUTO_LEVELS: Final = 9
"""Largest level of AutoAugment."""
# Each line two operations, one after the other: name, probability, level (https://arxiv.org/abs/1805.09501, table 7).
AUTO_AUGMENT_CIFAR10: Final = """
invert 0.1 7, contrast 0.2 6
rotate 0.7 2, translate_x 0.3 9
sharpness 0.8 1, sharpness 0.9 3
shear_y 0.5 8, translate_y 0.7 9
auto_contrast 0.5 8, equalize 0.9 2
shear_y 0.2 7, posterize 0.3 7
color 0.4 3, brightness 0.6 7
sharpness 0.3 9, brightness 0.7 9
equalize 0.6 5, equalize 0.5 1
contrast 0.6 7, sharpness 0.6 5
color 0.7 7, translate_x 0.5 8
equalize 0.3 7, auto_contrast 0.4 8
translate_y 0.4 3, sharpness 0.2 6
brightness 0.9 6, color 0.2 8
solarize 0.5 2, invert 0.0 3
equalize 0.2 0, auto_contrast 0.6 0
equalize 0.2 8, equalize 0.6 4
color 0.9 9, equalize 0.6 6
auto_contrast 0.8 4, solarize 0.2 8
brightness 0.1 3, color 0.7 0
solarize 0.4 5, auto_contrast 0.9 3
translate_y 0.9 9, translate_y 0.7 9
auto_contrast 0.9 2, solarize 0.8 3
equalize 0.8 8, invert 0.1 3
translate_y 0.7 9, auto_contrast 0.9 1
"""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The random parameters of one epoch: each sample's sequence of operations and their strengths."""

    operations_ns: Tensor
    """int64 [N, S]: positions in `NAMES`."""
    strengths_ns: Tensor
    """float32 [N, S]: from 0 to 1, negative for the other direction."""
    is_wide: bool
    """Whether strength 1 is as strong as in TrivialAugment."""

    @classmethod
    def rand_augment(cls, num_operations: int, magnitude: int, seed: int, epoch: int, num_samples: int) -> Policy:
        """Draw `num_operations` operations of the same magnitude, 0 to 30 (https://arxiv.org/abs/1909.13719)."""
        rng = np.random.default_rng((seed, epoch, POLICY_STREAM))
        shape = (num_samples, num_operations)
        return cls._of(rng, rng.choice(COMMON, shape), np.full(shape, magnitude / LEVELS), is_wide=False)

    @classmethod
    def trivial_augment(cls, seed: int, epoch: int, num_samples: int) -> Policy:
        """Draw one operation of any magnitude (https://arxiv.org/abs/2103.10158)."""
        rng = np.random.default_rng((seed, epoch, POLICY_STREAM))
        shape = (num_samples, 1)
        return cls._of(rng, rng.choice(COMMON, shape), rng.integers(0, LEVELS + 1, shape) / LEVELS, is_wide=True)

    @classmethod
    def auto_augment(cls, seed: int, epoch: int, num_samples: int) -> Policy:
        """Draw one of the 25 pairs that were found on CIFAR-10 (https://arxiv.org/abs/1805.09501)."""
        rng = np.random.default_rng((seed, epoch, POLICY_STREAM))
        lines = [[part.split() for part in line.split(",")] for line in AUTO_AUGMENT_CIFAR10.split("\n") if line]
        operations_ps = np.array([[NAMES.index(name) for name, _, _ in line] for line in lines])
        chances_ps = np.array([[float(chance) for _, chance, _ in line] for line in lines])
        levels_ps = np.array([[int(level) for _, _, level in line] for line in lines])
        pairs = rng.integers(0, len(lines), num_samples)
        happens = rng.random((num_samples, 2)) < chances_ps[pairs]
        operations = np.where(happens, operations_ps[pairs], NAMES.index("identity"))
        return cls._of(rng, operations, levels_ps[pairs] / AUTO_LEVELS, is_wide=False)

    @classmethod
    def _of(cls, rng: np.random.Generator, operations: np.ndarray, strengths: np.ndarray, *, is_wide: bool) -> Policy:
        signs = rng.choice([-1.0, 1.0], operations.shape)
        return cls(
            operations_ns=torch.from_numpy(operations),
            strengths_ns=torch.from_numpy(strengths * signs).float(),
            is_wide=is_wide,
        )

    def apply(self, images_bchw: Tensor, samples: Tensor) -> Tensor:
        """Return the augmented images, uint8 [B, C, H, W], of samples int64 [B]."""
        device = images_bchw.device
        at = samples.cpu()  # which images an operation takes is then known without waiting for the device
        operations_bs, strengths_bs = self.operations_ns[at], self.strengths_ns[at]
        images_bchw = images_bchw.clone()
        for step in range(operations_bs.shape[1]):
            for number in sorted(set(operations_bs[:, step].tolist())):
                operation: Operation = OPERATIONS[NAMES[number]]
                chosen = (operations_bs[:, step] == number).nonzero().squeeze(1)
                strengths = strengths_bs[chosen, step].to(device)
                chosen = chosen.to(device)
                images_bchw[chosen] = operation(images_bchw[chosen], strengths, self.is_wide)
        return images_bchw

"""All random augmentation that a config asks for, on whole batches and on the images' device.

Shapes: b images of a batch, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from workloads.config import DataConfig
from workloads.data.flip_shift import Erase, FlipShift
from workloads.data.mixing import Mix
from workloads.data.policies import Policy


class Transform(Protocol):
    """A transform of each image by random parameters of its own."""

    def apply(self, images_bchw: Tensor, samples: Tensor) -> Tensor:
        """Return the transformed images, uint8 [B, C, H, W], of the samples at positions `samples`, int64 [B]."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """The random parameters of one epoch, for every sample: of each transform, in order, and of mixing."""

    transforms: Sequence[Transform]
    """Transforms, applied in this order."""
    mix: Mix | None
    """MixUp or CutMix; None for neither."""
    num_classes: int
    """Number of classes, the width of mixed targets."""

    @classmethod
    def draw(
        cls,
        config: DataConfig,
        *,
        seed: int,
        epoch: int,
        num_samples: int,
        num_classes: int,
        device: torch.device | str = "cpu",
    ) -> Augmentation:
        """Draw the parameters of one epoch: a function of seed, epoch and sample, the same on every rank."""
        transforms: list[Transform] = []
        if config.augmentation != "none":
            transforms.append(FlipShift.draw(seed, epoch, num_samples, device))
        match config.augmentation:
            case "rand_augment":
                policy = Policy.rand_augment(config.num_operations, config.magnitude, seed, epoch, num_samples)
                transforms.append(policy)
            case "trivial_augment":
                transforms.append(Policy.trivial_augment(seed, epoch, num_samples))
            case "auto_augment":
                transforms.append(Policy.auto_augment(seed, epoch, num_samples))
        if config.erase_probability > 0:
            transforms.append(Erase.draw(config.erase_probability, seed, epoch, num_samples, device))
        mix = None
        if config.mix != "none":
            mix = Mix.draw(config.mix, config.mix_alpha, seed, epoch, num_samples, device)
        return cls(transforms=transforms, mix=mix, num_classes=num_classes)

    def samples_to_load(self, samples: Tensor) -> Tensor:
        """Return the samples whose images `apply` needs for int64 `samples` [B].

        They are int64 [B], or [2B] with the mixing partners in the second half.
        """
        return samples if self.mix is None else torch.cat([samples, self.mix.partners[samples]])

    def apply(self, images: Tensor, labels: Tensor, loaded_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return the augmented images and their targets: int64 [B], or float32 [B, classes] where they are mixed.

        `images`, uint8 [B or 2B, C, H, W], and `labels`, int64 [B or 2B], are those of `loaded_samples`, int64
        [B or 2B], which `samples_to_load` returned. Images are uint8, or float32 after MixUp.
        """
        for transform in self.transforms:
            images = transform.apply(images, loaded_samples)
        if self.mix is None:
            return images, labels
        half = len(loaded_samples) // 2
        return self.mix.apply(
            images[:half], images[half:], labels[:half], labels[half:], loaded_samples[:half], self.num_classes
        )

"""All random changes to training images as a config asks for them, on whole batches and on the device of the images."""

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


class Change(Protocol):
    """A change of each image by its own draw."""

    def apply(self, images_bchw: Tensor, samples: Tensor) -> Tensor:
        """uint8 [B, C, H, W]: the images of int64 `samples` [B], changed."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """The draws of one epoch, for every sample: of its changes, one after the other, and of what it is mixed with."""

    changes: Sequence[Change]
    mix: Mix | None
    num_classes: int

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
        """What happens to each sample in one epoch: a function of seed, epoch and sample, whoever trains on it."""
        changes: list[Change] = []
        if config.augmentation != "none":
            changes.append(FlipShift.draw(seed, epoch, num_samples, device))
        match config.augmentation:
            case "rand_augment":
                policy = Policy.rand_augment(config.num_operations, config.magnitude, seed, epoch, num_samples)
                changes.append(policy)
            case "trivial_augment":
                changes.append(Policy.trivial_augment(seed, epoch, num_samples))
            case "auto_augment":
                changes.append(Policy.auto_augment(seed, epoch, num_samples))
        if config.erase_probability > 0:
            changes.append(Erase.draw(config.erase_probability, seed, epoch, num_samples, device))
        mix = None
        if config.mix != "none":
            mix = Mix.draw(config.mix, config.mix_alpha, seed, epoch, num_samples, device)
        return cls(changes=changes, mix=mix, num_classes=num_classes)

    def needed(self, samples: Tensor) -> Tensor:
        """The samples whose images `apply` must be given for int64 `samples` [B]: [B], or [2B] with their partners."""
        return samples if self.mix is None else torch.cat([samples, self.mix.partners[samples]])

    def apply(self, images: Tensor, labels: Tensor, needed: Tensor) -> tuple[Tensor, Tensor]:
        """Changed images of the samples and their targets: int64 [B], or float [B, classes] where they were mixed.

        `images` and `labels` are those of `needed`, which `self.needed` gave.
        """
        for change in self.changes:
            images = change.apply(images, needed)
        if self.mix is None:
            return images, labels
        half = len(needed) // 2
        return self.mix.apply(
            images[:half], images[half:], labels[:half], labels[half:], needed[:half], self.num_classes
        )

"""The training batches of one rank: its share of each global batch, augmented, on the device.

Shapes: n samples of the split, b samples of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from workloads.config import TrainConfig
from workloads.data.augmentation import Augmentation
from workloads.data.batches import batches
from workloads.data.dataset import Split
from workloads.data.order import batch, num_batches, order, share
from workloads.ranks import Ranks


class TrainLoader:
    """Loads the training images of one rank, step by step: a function of seed, epoch and step."""

    def __init__(
        self, config: TrainConfig, train: Split, *, num_classes: int, device: torch.device, ranks: Ranks
    ) -> None:
        self.config, self.ranks, self.device, self.num_classes = config, ranks, device, num_classes
        self.split = train.on(device)
        self.steps_per_epoch = num_batches(len(train), config.global_batch_size)

    def images_at(self, step: int) -> int:
        """Return the number of images in the first `step` optimizer steps, over all ranks."""
        epochs, steps = divmod(step, self.steps_per_epoch)
        num_train = len(self.split)
        return epochs * num_train + min(steps * self.config.global_batch_size, num_train)

    def steps(self, epoch: int, first: int, end: int) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Yield images, targets and loss weight for an epoch's steps `first` to `end` - 1 (0-based).

        Images are uint8 [B, C, H, W], or float32 after MixUp; targets are int64 [B], or float32 [B, classes] where
        images are mixed; both are on the device. The weight is a factor of the summed loss: DDP averages gradients over
        ranks, and with this weight the average is the gradient of the global mean loss. A rank without a share joins
        the collectives with one image of weight 0.
        """
        seed, num_samples = self.config.seed, len(self.split)
        order_n = order(seed, epoch, num_samples)
        augmentation = Augmentation.draw(
            self.config.data,
            seed=seed,
            epoch=epoch,
            num_samples=num_samples,
            num_classes=self.num_classes,
            device=self.device,
        )
        samples, weights = [], []
        for step in range(first, end):
            batch_b = batch(order_n, step, self.config.global_batch_size)
            own_b = share(batch_b, self.ranks.rank, self.ranks.world_size)
            weights.append(self.ranks.world_size / len(batch_b) if len(own_b) else 0.0)
            samples.append(augmentation.samples_to_load(own_b if len(own_b) else batch_b[:1]))
        loaded = batches(self.split, samples, self.device, self.config.data.num_workers)
        for weight, (at, images, labels) in zip(weights, loaded, strict=True):
            changed, targets = augmentation.apply(images, labels, at)
            yield changed, targets, weight

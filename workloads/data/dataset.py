"""A data set as a value: images, labels and class names."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

STATISTICS_SAMPLE = 5000
"""Number of images, where they are in files, from which mean and standard deviation are computed."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images and their labels."""

    images: Tensor
    """uint8 [N, C, H, W]; or a `FolderImages`, which has that shape and reads images when it is indexed."""
    labels: Tensor
    """int64 [N], each in [0, number of classes)."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> Split:
        """Return the images and labels at int64 `indices` [M], in that order."""
        from workloads.data.folder_images import FolderImages

        images = self.images.take(indices) if isinstance(self.images, FolderImages) else self.images[indices]
        return Split(images=images, labels=self.labels[indices])

    def on(self, device: torch.device) -> Split:
        """Return the split with its in-memory tensors on `device`."""
        from workloads.data.folder_images import FolderImages

        images = self.images if isinstance(self.images, FolderImages) else self.images.to(device)
        return Split(images=images, labels=self.labels.to(device))

    def mean_and_std(self) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation of pixels / 255 per channel; of a sample of images in files."""
        from workloads.data.folder_images import FolderImages

        images = self.images
        if isinstance(images, FolderImages):
            images = images[:: -(-len(self) // STATISTICS_SAMPLE)]
        pixels = images.transpose(0, 1).flatten(1).float() / 255
        # A channel that is one colour throughout has no deviation to divide by.
        std = [round(value, 6) or 1.0 for value in pixels.std(1).tolist()]
        return [round(value, 6) for value in pixels.mean(1).tolist()], std


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A whole data set; a run splits its validation images off `train`."""

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    digest: str | None = None
    """Version of images in files; None for images in memory, whose version is computed."""

    @cached_property
    def version(self) -> str:
        """16 hex digits that identify every image and label, whatever files they came from."""
        if self.digest is not None:
            return self.digest
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            digest.update(repr(tuple(split.images.shape)).encode())
            digest.update(split.images[:].contiguous().numpy().data)
            digest.update(split.labels.contiguous().numpy().data)
        return digest.hexdigest()[:16]

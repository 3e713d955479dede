"""Images in files that are read when they are indexed, in place of a tensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import data

from workloads.errors import DataError

PREFETCHED_BATCHES = 4
"""Batches that each worker process loads ahead."""


@dataclass(frozen=True)
class FolderImages:
    """Images in files with the shape and the indexing of a tensor uint8 [N, 3, H, W]."""

    paths: tuple[str, ...]
    """Paths of the image files."""
    image_size: int
    """Side of the square images, in pixels."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the tensor that the images stand in for: [N, 3, H, W]."""
        return len(self.paths), 3, self.image_size, self.image_size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, at: int | slice | Tensor) -> Tensor:
        """Read the image at a position, uint8 [3, H, W], or those at several, uint8 [M, 3, H, W]."""
        if isinstance(at, int):
            return read(self.paths[at], self.image_size)
        positions = range(len(self))[at] if isinstance(at, slice) else at.tolist()
        empty = torch.empty(0, *self.shape[1:], dtype=torch.uint8)
        return torch.cat([empty, *(read(self.paths[position], self.image_size)[None] for position in positions)])

    def take(self, indices: Tensor) -> FolderImages:
        """Return a selection of the images, without reading any."""
        return FolderImages(tuple(self.paths[at] for at in indices.tolist()), self.image_size)

    def batches(self, samples: Sequence[Tensor], *, num_workers: int, pin_memory: bool) -> Iterator[Tensor]:
        """Yield the images, uint8 [B, 3, H, W], for each int64 [B] of `samples`, in order."""
        positions = [each.tolist() for each in samples]
        loader: data.DataLoader[Tensor | str] = data.DataLoader(
            _ImageDataset(self),
            batch_sampler=positions,
            num_workers=num_workers,
            prefetch_factor=PREFETCHED_BATCHES if num_workers else None,
            pin_memory=pin_memory,
            collate_fn=_stack,
            # A forked copy of this process could use neither its threads nor its GPU.
            multiprocessing_context="forkserver" if num_workers else None,
            generator=torch.Generator(),  # else it draws from the global one
        )
        for found in loader:
            if isinstance(found, str):
                raise DataError(found)
            yield found


class _ImageDataset(data.Dataset[Tensor | str]):
    """A dataset that returns a worker's errors as strings: a DataLoader turns an exception into a page of traceback."""

    def __init__(self, images: FolderImages) -> None:
        self.images = images

    def __getitem__(self, position: int) -> Tensor | str:
        try:
            return read(self.images.paths[position], self.images.image_size)
        except DataError as error:
            return str(error)


def _stack(images: list[Any]) -> Tensor | str:
    return next((image for image in images if isinstance(image, str)), None) or torch.stack(images)


def read(path: str, image_size: int) -> Tensor:
    """Read an image as uint8 [3, image_size, image_size]; raise DataError that names a file which is no image."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            square = ImageOps.fit(image.convert("RGB"), (image_size, image_size), Image.Resampling.BILINEAR)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is damaged: it cannot be read as an image ({error}); remove or replace it") from error
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)

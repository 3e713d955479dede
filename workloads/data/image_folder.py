"""Images in files, a folder a class, read when they are used: for data sets that the memory does not hold.

`<data>/image_folder/train/<class>/*.png` and `.../test/<class>/*.png` (or .jpg, .jpeg, .bmp, .webp); the classes are
the names of the folders, sorted. Images become RGB squares of `data.image_size` pixels: scaled so that the shorter side
fits, and cut to the middle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils import data

from workloads.data.datasets import Dataset, Split
from workloads.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
FEWEST_CLASSES = 2
PREFETCHED_BATCHES = 4
"""Of each worker."""


@dataclass(frozen=True)
class FolderImages:
    """What stands in for a tensor uint8 [N, 3, H, W]: has its shape, and gives parts of it as tensors."""

    paths: tuple[str, ...]
    image_size: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """[N, 3, H, W]."""
        return len(self.paths), 3, self.image_size, self.image_size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, at: int | slice | Tensor) -> Tensor:
        """The image at a position, or those of a slice or of int64 positions, read now."""
        if isinstance(at, int):
            return read(self.paths[at], self.image_size)
        positions = range(len(self))[at] if isinstance(at, slice) else at.tolist()
        empty = torch.empty(0, *self.shape[1:], dtype=torch.uint8)
        return torch.cat([empty, *(read(self.paths[position], self.image_size)[None] for position in positions)])

    def take(self, indices: Tensor) -> FolderImages:
        """Some of the images, none of them read yet."""
        return FolderImages(tuple(self.paths[at] for at in indices.tolist()), self.image_size)

    def batches(self, samples: Sequence[Tensor], *, num_workers: int, pin_memory: bool) -> Iterator[Tensor]:
        """For each int64 [B] of `samples`, in order, its images."""
        positions = [each.tolist() for each in samples]
        loader: data.DataLoader[Tensor | str] = data.DataLoader(
            _Read(self),
            batch_sampler=positions,
            num_workers=num_workers,
            prefetch_factor=PREFETCHED_BATCHES if num_workers else None,
            pin_memory=pin_memory,
            collate_fn=_stacked,
            # Not a copy of this process, whose threads and GPU a copy cannot use.
            multiprocessing_context="forkserver" if num_workers else None,
            generator=torch.Generator(),  # else it draws from the global one
        )
        for found in loader:
            if isinstance(found, str):
                raise DataError(found)
            yield found


class _Read(data.Dataset[Tensor | str]):
    """A worker's faults are told as values: what a DataLoader makes of an exception is a page of traceback."""

    def __init__(self, images: FolderImages) -> None:
        self.images = images

    def __getitem__(self, position: int) -> Tensor | str:
        try:
            return read(self.images.paths[position], self.images.image_size)
        except DataError as error:
            return str(error)


def _stacked(images: list[Any]) -> Tensor | str:
    return next((image for image in images if isinstance(image, str)), None) or torch.stack(images)


def read(path: str, image_size: int) -> Tensor:
    """uint8 [3, image_size, image_size]; raises DataError that names a file which is no image."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            square = ImageOps.fit(image.convert("RGB"), (image_size, image_size), Image.Resampling.BILINEAR)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is damaged: it cannot be read as an image ({error}); remove or replace it") from error
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)


def is_in(folder: Path) -> bool:
    """Whether `folder` has both splits."""
    return (folder / "train").is_dir() and (folder / "test").is_dir()


def load(folder: Path, image_size: int) -> Dataset:
    """The data set in `folder`, none of its images read yet; raises DataError if a class has none."""
    class_names = _class_names_in(folder)
    digest = hashlib.sha256(str(image_size).encode())
    splits = []
    for name in ("train", "test"):
        paths, labels = _listed(folder / name, class_names)
        for path, label in zip(paths, labels, strict=True):  # what is in the files is not read
            digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0{label}\n".encode())
        images = FolderImages(tuple(map(str, paths)), image_size)
        splits.append(Split(images=cast(Tensor, images), labels=torch.tensor(labels)))
    train, test = splits
    return Dataset(name="image_folder", train=train, test=test, class_names=class_names, digest=digest.hexdigest()[:16])


def _listed(folder: Path, class_names: Sequence[str]) -> tuple[list[Path], list[int]]:
    """Files of one split, in the order of their names, and the class of each."""
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(class_names):
        of_class = sorted(path for path in (folder / name).iterdir() if path.suffix.lower() in SUFFIXES)
        if not of_class:
            raise DataError(f"{folder / name} holds no images; put some there, ending in {', '.join(SUFFIXES)}")
        paths += of_class
        labels += [label] * len(of_class)
    return paths, labels


def _class_names_in(folder: Path) -> tuple[str, ...]:
    """The folders of the training split, which the test split must have too."""
    train, test = (
        {entry.name for entry in (folder / split).iterdir() if entry.is_dir()} for split in ("train", "test")
    )
    if train != test:
        raise DataError(f"{folder}: train and test must have the same classes; one alone has {sorted(train ^ test)}")
    if len(train) < FEWEST_CLASSES:
        raise DataError(f"{folder / 'train'} has {len(train)} folders; there must be one a class, at least 2")
    return tuple(sorted(train))

"""Images in files, one folder per class, read when they are used: for data sets larger than memory.

`<data>/image_folder/train/<class>/*.png` and `.../test/<class>/*.png` (or .jpg, .jpeg, .bmp, .webp); the classes are
the names of the folders, sorted. Images become RGB squares of `data.image_size` pixels: scaled so that the shorter side
fits, and center-cropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from workloads.data.dataset import Dataset, Split
from workloads.data.folder_images import FolderImages
from workloads.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
MIN_CLASSES = 2
SPLITS = ("train", "test")


def is_in(folder: Path) -> bool:
    """Return whether `folder` has both splits."""
    return (folder / "train").is_dir() and (folder / "test").is_dir()


def files_in(folder: Path) -> list[Path]:
    """Return the paths of all images in `folder`; raise DataError if a class has none."""
    class_names = _class_names_in(folder)
    return [path for split in SPLITS for path in _list_images(folder / split, class_names)[0]]


def load(folder: Path, image_size: int) -> Dataset:
    """Load the data set in `folder`, without reading an image; raise DataError if a class has none."""
    class_names = _class_names_in(folder)
    digest = hashlib.sha256(str(image_size).encode())
    splits = []
    for name in SPLITS:
        paths, labels = _list_images(folder / name, class_names)
        for path, label in zip(paths, labels, strict=True):  # what is in the files is not read
            digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0{label}\n".encode())
        images = FolderImages(tuple(map(str, paths)), image_size)
        splits.append(Split(images=cast(Tensor, images), labels=torch.tensor(labels)))
    train, test = splits
    return Dataset(name="image_folder", train=train, test=test, class_names=class_names, digest=digest.hexdigest()[:16])


def _list_images(folder: Path, class_names: Sequence[str]) -> tuple[list[Path], list[int]]:
    """Return the files of one split, in the order of their names, and their labels."""
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
    """Return the folders of the training split, which the test split must have too."""
    train, test = (
        {entry.name for entry in (folder / split).iterdir() if entry.is_dir()} for split in ("train", "test")
    )
    if train != test:
        raise DataError(f"{folder}: train and test must have the same classes; one alone has {sorted(train ^ test)}")
    if len(train) < MIN_CLASSES:
        raise DataError(f"{folder / 'train'} has {len(train)} folders; there must be one a class, at least 2")
    return tuple(sorted(train))

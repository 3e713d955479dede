"""Data sets by name: where their files lie, and what is in them. Imports torch only when one is loaded."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from workloads.environment import DATA, PlatformEnvironment
from workloads.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

DATASETS = ("fashion_mnist", "digits")


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images and the class of each."""

    images: Tensor
    """uint8 [N, C, H, W]."""
    labels: Tensor
    """int64 [N], each in [0, number of classes)."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> Split:
        """The images at int64 `indices`, in that order."""
        return Split(images=self.images[indices], labels=self.labels[indices])


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A whole data set in memory; validation images are taken from `train` by the run."""

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]

    @cached_property
    def version(self) -> str:
        """16 hex digits that stand for every image and label, whatever files they came from."""
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            digest.update(repr(tuple(split.images.shape)).encode())
            digest.update(split.images.contiguous().numpy().data)
            digest.update(split.labels.contiguous().numpy().data)
        return digest.hexdigest()[:16]


def data_folder(environment: PlatformEnvironment) -> Path:
    """The folder that holds data sets: MLP_DATA, or one in the user's cache when that is unset."""
    if environment.data:
        return Path(environment.data).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ml-platform" / "data"


def find(name: str, environment: PlatformEnvironment, *, system_folder: Path | None = None) -> Path:
    """The folder that holds the data set's files; raises DataError that names the command which provides it.

    `system_folder` is where the system's package manager puts them, unless given.
    """
    from workloads.data import digits, fashion_mnist

    known(name)
    if name == "digits":
        return digits.folder()
    candidates = (data_folder(environment) / name, system_folder or fashion_mnist.SYSTEM_FOLDER)
    for folder in candidates:
        if fashion_mnist.is_in(folder):
            return folder
    searched = " nor in ".join(map(str, candidates))
    raise DataError(
        f"Data set {name} is neither in {searched}; run `apt-get install {fashion_mnist.DEBIAN_PACKAGE}`, or "
        f"`python -m workloads data fetch {name}`, or set {DATA} to a folder that holds {name}/"
    )


def load(name: str, environment: PlatformEnvironment) -> Dataset:
    """The data set, read from where `find` finds it; raises DataError when it is missing or damaged."""
    from workloads.data import digits, fashion_mnist

    folder = find(name, environment)
    return digits.load() if name == "digits" else fashion_mnist.load(folder)


def known(name: str) -> str:
    """`name`, if there is such a data set; raises DataError that lists them."""
    if name not in DATASETS:
        raise DataError(f"No data set {name}; there are {', '.join(DATASETS)}")
    return name

"""Data sets by name: where their files lie, and what is in them. Imports torch only when one is loaded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from workloads.environment import DATA, PlatformEnvironment
from workloads.errors import DataError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

DATASETS = ("fashion_mnist", "mnist", "cifar10", "cifar100", "digits", "image_folder")
STATISTICS_SAMPLE = 5000
"""Images of a folder from which mean and deviation are taken."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images and the class of each."""

    images: Tensor
    """uint8 [N, C, H, W]; or `FolderImages`, which has its shape and reads what it is asked for by position."""
    labels: Tensor
    """int64 [N], each in [0, number of classes)."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> Split:
        """The images at int64 `indices`, in that order."""
        from workloads.data.image_folder import FolderImages

        images = self.images.take(indices) if isinstance(self.images, FolderImages) else self.images[indices]
        return Split(images=images, labels=self.labels[indices])

    def on(self, device: torch.device) -> Split:
        """The split with all that is in memory in the memory of `device`."""
        from workloads.data.image_folder import FolderImages

        images = self.images if isinstance(self.images, FolderImages) else self.images.to(device)
        return Split(images=images, labels=self.labels.to(device))

    def mean_and_std(self) -> tuple[list[float], list[float]]:
        """Of the pixels divided by 255, a value a channel; of a part of the images where they lie in files."""
        from workloads.data.image_folder import FolderImages

        images = self.images
        if isinstance(images, FolderImages):
            images = images[:: -(-len(self) // STATISTICS_SAMPLE)]
        pixels = images.transpose(0, 1).flatten(1).float() / 255
        # A channel that is one colour throughout has no deviation to divide by.
        std = [round(value, 6) or 1.0 for value in pixels.std(1).tolist()]
        return [round(value, 6) for value in pixels.mean(1).tolist()], std


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A whole data set; validation images are taken from `train` by the run."""

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    digest: str | None = None
    """Stands for images in files; that of images in memory is computed."""

    @cached_property
    def version(self) -> str:
        """16 hex digits that stand for every image and label, whatever files they came from."""
        if self.digest is not None:
            return self.digest
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            digest.update(repr(tuple(split.images.shape)).encode())
            digest.update(split.images[:].contiguous().numpy().data)
            digest.update(split.labels.contiguous().numpy().data)
        return digest.hexdigest()[:16]


class Source(Protocol):
    """A data set that comes as files of its authors'."""

    @property
    def system_folder(self) -> Path | None:
        """Where a package of the system puts them."""

    @property
    def package(self) -> str | None:
        """Its name."""

    @property
    def sources(self) -> tuple[str, ...]:
        """URLs below which the authors offer them."""

    @property
    def sha256(self) -> Mapping[str, str]:
        """Of each file there."""

    def is_in(self, folder: Path) -> bool:
        """Whether `folder` holds them."""

    def files_in(self, folder: Path) -> list[Path]:
        """Those that `load` reads."""

    def load(self, folder: Path) -> Dataset:
        """The data set; raises DataError that names the file which is damaged."""


def source_of(name: str) -> Source | None:
    """Where the files of a data set come from; None for digits and image_folder, which nobody offers as such."""
    from workloads.data.cifar import CIFAR10, CIFAR100
    from workloads.data.idx_datasets import FASHION_MNIST, MNIST

    sources: Mapping[str, Source] = {
        "fashion_mnist": FASHION_MNIST,
        "mnist": MNIST,
        "cifar10": CIFAR10,
        "cifar100": CIFAR100,
    }
    return sources.get(known(name))


def data_folder(environment: PlatformEnvironment) -> Path:
    """The folder that holds data sets: MLP_DATA, where it is in S3 what is copied from there, else the user's cache."""
    from workloads.data import s3

    if environment.data and s3.is_place(environment.data):
        return cache_folder() / "s3" / hashlib.sha256(environment.data.rstrip("/").encode()).hexdigest()[:16]
    if environment.data:
        return Path(environment.data).expanduser().resolve()
    return cache_folder() / "data"


def cache_folder() -> Path:
    """The user's own, for what can be had again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ml-platform"


def find(name: str, environment: PlatformEnvironment, *, system_folder: Path | None = None) -> Path:
    """The folder that holds the data set's files, copied from S3 if they are there alone.

    Raises DataError that names the command which provides it. `system_folder` is where the system's package manager
    puts them, unless given.
    """
    from workloads.data import digits, image_folder, s3

    source = source_of(name)
    if name == "digits":
        return digits.folder()
    is_in = source.is_in if source else image_folder.is_in
    own = data_folder(environment) / name
    in_s3 = environment.data is not None and s3.is_place(environment.data)
    if in_s3 and not is_in(own):
        s3.copy(f"{environment.data}/{name}", own)
    system_folder = system_folder or (source.system_folder if source else None)
    candidates = [own, *([system_folder] if system_folder else [])]
    for folder in candidates:
        if is_in(folder):
            return folder
    raise DataError(_missing(name, source, environment, candidates))


def load(name: str, environment: PlatformEnvironment, *, image_size: int = 64) -> Dataset:
    """The data set, read from where `find` finds it; raises DataError when it is missing or damaged.

    `image_size` is that of `image_folder`.
    """
    from workloads.data import digits, image_folder
    from workloads.data.arrays import kept

    folder, source = find(name, environment), source_of(name)
    if source:
        return kept(name, source.files_in(folder), lambda: source.load(folder), cache_folder() / "arrays")
    return digits.load() if name == "digits" else image_folder.load(folder, image_size)


def known(name: str) -> str:
    """`name`, if there is such a data set; raises DataError that lists them."""
    if name not in DATASETS:
        raise DataError(f"No data set {name}; there are {', '.join(DATASETS)}")
    return name


def _missing(name: str, source: Source | None, environment: PlatformEnvironment, searched: list[Path]) -> str:
    if environment.data and "://" in environment.data:
        return (
            f"{environment.data}/{name} holds no whole data set {name}; copy its files there, for example by "
            f"`aws s3 sync FOLDER {environment.data}/{name}`"
        )
    told = f"Data set {name} is not in {searched[0]}"
    if len(searched) > 1:
        told = f"Data set {name} is neither in {' nor in '.join(map(str, searched))}"
    if source is None:
        here = searched[0]
        return f"{told}; put a folder a class into {here}/train and {here}/test, or set {DATA} to what holds {name}/"
    by_package = f"`apt-get install {source.package}`, or " if source.package else ""
    return (
        f"{told}; run {by_package}`python -m workloads data fetch {name}`, or set {DATA} to a folder or s3:// prefix "
        f"that holds {name}/"
    )

"""Data sets by name: where their files lie, and what is in them. Imports torch only when one is loaded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from workloads.environment import DATA, PlatformEnvironment
from workloads.errors import DataError

if TYPE_CHECKING:
    from workloads.data.dataset import Dataset

DatasetName = Literal["fashion_mnist", "mnist", "cifar10", "cifar100", "digits", "image_folder"]
DATASETS: tuple[str, ...] = get_args(DatasetName)


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

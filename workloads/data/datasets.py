"""Data sets by name: where their files are, and how they are loaded. Imports torch only to load one."""

from __future__ import annotations

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
    """A data set that is distributed as files by its authors."""

    @property
    def system_folder(self) -> Path | None:
        """Folder into which a system package installs the files; None if no package does."""

    @property
    def package(self) -> str | None:
        """Name of that Debian package."""

    @property
    def sources(self) -> tuple[str, ...]:
        """URLs below which the authors offer them."""

    @property
    def sha256(self) -> Mapping[str, str]:
        """SHA-256 of each file, in hex, by its name."""

    def is_in(self, folder: Path) -> bool:
        """Return whether `folder` holds all files."""

    def files_in(self, folder: Path) -> list[Path]:
        """Return the paths of the files that `load` reads."""

    def load(self, folder: Path) -> Dataset:
        """Load the data set from `folder`; raise DataError that names a damaged file."""


def source_of(name: str) -> Source | None:
    """Return the source of a data set; None for digits and image_folder, which are not downloaded."""
    from workloads.data.cifar import CIFAR10, CIFAR100
    from workloads.data.idx_datasets import FASHION_MNIST, MNIST

    sources: Mapping[str, Source] = {
        "fashion_mnist": FASHION_MNIST,
        "mnist": MNIST,
        "cifar10": CIFAR10,
        "cifar100": CIFAR100,
    }
    return sources.get(validated_name(name))


def data_folder(environment: PlatformEnvironment) -> Path:
    """Return the folder on this machine that holds data sets: MLP_DATA, or the user's cache where that is in S3."""
    if environment.data and not _s3_url(environment, ""):
        return Path(environment.data).expanduser().resolve()
    return cache_folder() / "data"


def data_location(environment: PlatformEnvironment) -> str:
    """Return MLP_DATA for another process, of whatever folder: the `s3://` prefix or an absolute path."""
    return _s3_url(environment, "") or str(data_folder(environment))


def cache_folder() -> Path:
    """Return the user's cache folder, for data that can be downloaded or built again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ml-platform"


def find(name: str, environment: PlatformEnvironment, *, system_folder: Path | None = None) -> Path:
    """Return the folder that holds the data set's files; copy them from S3 if they are only there.

    Raises DataError that names the command which provides them. `system_folder` overrides the folder into which a
    system package installs them.
    """
    from workloads.data import digits, image_folder, s3

    source = source_of(name)
    if name == "digits":
        return digits.folder()
    is_in = source.is_in if source else image_folder.is_in
    url = _s3_url(environment, name)
    copied = s3.copy(url, cache_folder() / "s3") if url else None
    system_folder = system_folder or (source.system_folder if source else None)
    candidates = [data_folder(environment) / name, *([system_folder] if system_folder else [])]
    for folder in [*([copied] if copied else []), *candidates]:
        if is_in(folder):
            return folder
    raise DataError(_missing_message(name, source, environment, candidates))


def check(name: str, environment: PlatformEnvironment) -> None:
    """Raise DataError where `find` would, without copying anything from S3."""
    from workloads.data import s3

    url = _s3_url(environment, validated_name(name))
    if name == "digits" or url is None or not s3.is_pushed(url):
        find(name, environment)


def load(name: str, environment: PlatformEnvironment, *, image_size: int = 64) -> Dataset:
    """Load the data set from where `find` finds it; raise DataError if it is missing or damaged.

    `image_size` is the side, in pixels, of images of `image_folder`.
    """
    from workloads.data import digits, image_folder
    from workloads.data.array_cache import load_cached

    folder, source = find(name, environment), source_of(name)
    if source:
        return load_cached(name, source.files_in(folder), lambda: source.load(folder), cache_folder() / "arrays")
    return digits.load() if name == "digits" else image_folder.load(folder, image_size)


def validated_name(name: str) -> str:
    """Return `name` if there is such a data set; raise DataError that lists them otherwise."""
    if name not in DATASETS:
        raise DataError(f"No data set {name}; there are {', '.join(DATASETS)}")
    return name


def _s3_url(environment: PlatformEnvironment, name: str) -> str | None:
    """Return the `s3://` URL of a data set; None where MLP_DATA is not in S3."""
    from workloads.data import s3

    data = environment.data
    return f"{data.rstrip('/')}/{name}" if data and s3.is_s3_url(data) else None


def _missing_message(name: str, source: Source | None, environment: PlatformEnvironment, searched: list[Path]) -> str:
    if environment.data and "://" in environment.data:
        return (
            f"{environment.data.rstrip('/')}/{name} holds no whole data set {name}; upload it by "
            f"`python -m workloads data push {name}`, where its files are and {DATA} is this one"
        )
    fault = f"Data set {name} is not in {searched[0]}"
    if len(searched) > 1:
        fault = f"Data set {name} is neither in {' nor in '.join(map(str, searched))}"
    if source is None:
        here = searched[0]
        return f"{fault}; put a folder a class into {here}/train and {here}/test, or set {DATA} to what holds {name}/"
    by_package = f"`apt-get install {source.package}`, or " if source.package else ""
    return (
        f"{fault}; run {by_package}`python -m workloads data fetch {name}`, or set {DATA} to a folder or s3:// prefix "
        f"that holds {name}/"
    )

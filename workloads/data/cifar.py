"""CIFAR-10 and CIFAR-100: 60,000 colour images of 32 x 32 pixels (https://www.cs.toronto.edu/~kriz/cifar.html).

Read from the binary version, packed or unpacked: records of label bytes and 3,072 pixels. The Python version is of
pickles, which can run code when they are read, so it is not taken.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workloads.data.dataset import Dataset, Split
from workloads.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

SOURCES = ("https://www.cs.toronto.edu/~kriz",)
PIXELS = 3 * 32 * 32


@dataclass(frozen=True, kw_only=True)
class CifarDataset:
    """One of the two data sets: its files and their format."""

    name: str
    archive: str
    """File name of the archive that the authors offer."""
    sha256_of_archive: str
    """SHA-256 of the archive, in hex."""
    unpacked: str
    """Name of the folder within the archive."""
    train_files: tuple[str, ...]
    test_file: str
    names_file: str
    num_labels: int
    """Label bytes before the pixels of a record; the last one is the class."""
    num_classes: int
    system_folder: Path | None = None
    package: str | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """URLs below which the authors offer the archive."""
        return SOURCES

    @property
    def sha256(self) -> Mapping[str, str]:
        """SHA-256 of each file that is downloaded, in hex, by its name."""
        return {self.archive: self.sha256_of_archive}

    def is_in(self, folder: Path) -> bool:
        """Return whether the archive, or all files of the unpacked one, are in `folder`."""
        return (folder / self.archive).is_file() or self._unpacked_in(folder) is not None

    def files_in(self, folder: Path) -> list[Path]:
        """Return the paths of the files that `load` reads."""
        unpacked = self._unpacked_in(folder)
        return [folder / self.archive] if unpacked is None else [unpacked / name for name in self._files]

    def load(self, folder: Path) -> Dataset:
        """Load the data set from the files in `folder`; raise DataError that names a damaged file."""
        unpacked = self._unpacked_in(folder)
        contents = (
            self._from_archive(folder / self.archive) if unpacked is None else _from_folder(unpacked, self._files)
        )
        place = unpacked or folder / self.archive
        parts = [self._split(contents[name], f"{place}/{name}") for name in (*self.train_files, self.test_file)]
        names = contents[self.names_file].decode("utf-8", errors="replace").split()
        if len(names) != self.num_classes:
            raise DataError(
                f"{place}/{self.names_file} is damaged: it has {len(names)} names; there are {self.num_classes} classes"
            )
        return Dataset(name=self.name, train=_joined(parts[:-1]), test=parts[-1], class_names=tuple(names))

    @property
    def _files(self) -> tuple[str, ...]:
        return (*self.train_files, self.test_file, self.names_file)

    def _unpacked_in(self, folder: Path) -> Path | None:
        candidates = (folder, folder / self.unpacked)
        return next((each for each in candidates if all((each / name).is_file() for name in self._files)), None)

    def _from_archive(self, path: Path) -> dict[str, bytes]:
        """Return the contents of the archive's files by name, without unpacking to disk."""
        contents = {}
        try:
            with tarfile.open(path, "r:gz") as archive:
                for member in archive:
                    name = member.name.removeprefix(f"{self.unpacked}/")
                    if name in self._files and (file := archive.extractfile(member)):
                        contents[name] = file.read()
        except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
            raise DataError(
                f"{path} is damaged: it cannot be unpacked ({error}); remove it and provide the data set again"
            ) from error
        missing = [name for name in self._files if name not in contents]
        if missing:
            raise DataError(f"{path} lacks {self.unpacked}/{missing[0]}; it must be the binary version, {self.archive}")
        return contents

    def _split(self, content: bytes, where: str) -> Split:
        import torch

        size = self.num_labels + PIXELS
        if not content or len(content) % size:
            raise DataError(
                f"{where} is damaged: it holds {len(content)} bytes; they must be whole records of {size}; remove it "
                "and provide the data set again"
            )
        records = torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(-1, size)
        labels = records[:, self.num_labels - 1].long()
        largest = int(labels.max())
        if largest >= self.num_classes:
            raise DataError(f"{where} is damaged: it has label {largest}; the largest is {self.num_classes - 1}")
        images: Tensor = records[:, self.num_labels :].reshape(-1, 3, 32, 32)
        return Split(images=images, labels=labels)


def _from_folder(folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    try:
        return {name: (folder / name).read_bytes() for name in names}
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error


def _joined(splits: list[Split]) -> Split:
    import torch

    return Split(
        images=torch.cat([split.images for split in splits]), labels=torch.cat([split.labels for split in splits])
    )


CIFAR10 = CifarDataset(
    name="cifar10",
    archive="cifar-10-binary.tar.gz",
    sha256_of_archive="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    unpacked="cifar-10-batches-bin",
    train_files=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test_file="test_batch.bin",
    names_file="batches.meta.txt",
    num_labels=1,
    num_classes=10,
)
CIFAR100 = CifarDataset(
    name="cifar100",
    archive="cifar-100-binary.tar.gz",
    sha256_of_archive="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    unpacked="cifar-100-binary",
    train_files=("train.bin",),
    test_file="test.bin",
    names_file="fine_label_names.txt",
    num_labels=2,  # the coarse one comes first
    num_classes=100,
)

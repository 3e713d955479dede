"""MNIST and Fashion-MNIST: 70,000 grey images of 28 x 28 pixels in ten classes, in four files.

Shapes: n images, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from workloads.data.dataset import Dataset, Split
from workloads.data.idx import read_idx
from workloads.errors import DataError

IMAGES, LABELS = "-images-idx3-ubyte.gz", "-labels-idx1-ubyte.gz"


@dataclass(frozen=True, kw_only=True)
class IdxDataset:
    """A data set of the MNIST family."""

    name: str
    class_names: tuple[str, ...]
    sources: tuple[str, ...]
    """URLs below which the authors offer the files."""
    sha256: Mapping[str, str]
    """SHA-256 of each of the four files, in hex, by its name."""
    system_folder: Path | None = None
    """Folder into which the system's package installs the files."""
    package: str | None = None
    """Name of that Debian package."""

    def is_in(self, folder: Path) -> bool:
        """Return whether all four files are in `folder`, compressed or not."""
        return all(_path(folder, name) for name in self.sha256)

    def files_in(self, folder: Path) -> list[Path]:
        """Return the paths of those of the four files that are there."""
        return [path for name in self.sha256 if (path := _path(folder, name))]

    def load(self, folder: Path) -> Dataset:
        """Load the data set from the four files in `folder`; raise DataError that names a damaged file."""
        train, test = self._split(folder, "train"), self._split(folder, "t10k")
        return Dataset(name=self.name, train=train, test=test, class_names=self.class_names)

    def _split(self, folder: Path, prefix: str) -> Split:
        images_path, labels_path = (_path(folder, prefix + suffix) for suffix in (IMAGES, LABELS))
        if images_path is None or labels_path is None:
            raise DataError(f"{folder} lacks {prefix}{IMAGES} or {prefix}{LABELS}")
        images_nhw, labels_n = read_idx(images_path, num_dims=3), read_idx(labels_path, num_dims=1)
        if len(images_nhw) != len(labels_n):
            raise DataError(
                f"{labels_path} is damaged: it has {len(labels_n)} labels; {images_path.name} has {len(images_nhw)} "
                "images"
            )
        largest, num_classes = int(labels_n.max()), len(self.class_names)
        if largest >= num_classes:
            raise DataError(f"{labels_path} is damaged: it has label {largest}; the largest is {num_classes - 1}")
        return Split(images=images_nhw.unsqueeze(1), labels=labels_n.long())


def _path(folder: Path, name: str) -> Path | None:
    paths = (folder / name, folder / name.removesuffix(".gz"))
    return next((path for path in paths if path.is_file()), None)


FASHION_MNIST = IdxDataset(
    name="fashion_mnist",
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    # https://github.com/zalandoresearch/fashion-mnist
    sources=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    ),
    sha256=MappingProxyType(
        {
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        }
    ),
    system_folder=Path("/usr/share/datasets/fashion-mnist"),
    package="dataset-fashion-mnist",
)
MNIST = IdxDataset(
    name="mnist",
    class_names=tuple(map(str, range(10))),
    # Two mirrors of http://yann.lecun.com/exdb/mnist/, which itself asks for a login.
    sources=("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"),
    sha256=MappingProxyType(
        {
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        }
    ),
)

"""Fashion-MNIST: 70,000 grey images of 28 x 28 pixels in ten classes (https://github.com/zalandoresearch/fashion-mnist)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from workloads.data.datasets import Dataset, Split
from workloads.data.idx import read_idx
from workloads.errors import DataError

DEBIAN_PACKAGE = "dataset-fashion-mnist"
SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
SOURCES = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
)
SHA256: Mapping[str, str] = MappingProxyType(
    {
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    }
)
"""The four files as their authors offer them."""
CLASS_NAMES = (
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
)


def is_in(folder: Path) -> bool:
    """Whether all four files lie in `folder`, compressed or not."""
    return all(_path(folder, name) for name in SHA256)


def load(folder: Path) -> Dataset:
    """The data set from the four files in `folder`; raises DataError that names the file which is damaged."""
    return Dataset(
        name="fashion_mnist", train=_split(folder, "train"), test=_split(folder, "t10k"), class_names=CLASS_NAMES
    )


def _split(folder: Path, prefix: str) -> Split:
    images_path, labels_path = (_path(folder, f"{prefix}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
    if images_path is None or labels_path is None:
        raise DataError(f"{folder} lacks {prefix}-images-idx3-ubyte.gz or {prefix}-labels-idx1-ubyte.gz")
    images_nhw, labels_n = read_idx(images_path, num_dims=3), read_idx(labels_path, num_dims=1)
    if len(images_nhw) != len(labels_n):
        raise DataError(
            f"{labels_path} is damaged: it has {len(labels_n)} labels; {images_path.name} has {len(images_nhw)} images"
        )
    largest = int(labels_n.max())
    if largest >= len(CLASS_NAMES):
        raise DataError(f"{labels_path} is damaged: it has label {largest}; the largest is {len(CLASS_NAMES) - 1}")
    return Split(images=images_nhw.unsqueeze(1), labels=labels_n.long())


def _path(folder: Path, name: str) -> Path | None:
    paths = (folder / name, folder / name.removesuffix(".gz"))
    return next((path for path in paths if path.is_file()), None)

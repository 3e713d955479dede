from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # it has no types

from workloads.data import digits
from workloads.data.datasets import data_folder, find, load
from workloads.data.idx_datasets import FASHION_MNIST
from workloads.environment import PlatformEnvironment
from workloads.errors import DataError


def put_fashion_mnist(folder: Path, *, num_labels: int = 6, largest_label: int = 9) -> None:
    """The four files, with six images each."""
    folder.mkdir(parents=True, exist_ok=True)
    for prefix in ("train", "t10k"):
        images = struct.pack(">4I", 0x0803, 6, 28, 28) + bytes(6 * 28 * 28)
        labels = struct.pack(">2I", 0x0801, num_labels) + bytes(largest_label for _ in range(num_labels))
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(labels)


def test_a_folder_of_ones_own_comes_before_the_systems(tmp_path: Path) -> None:
    own, system = tmp_path / "own", tmp_path / "system"
    here = PlatformEnvironment(data=str(own))
    put_fashion_mnist(system)
    assert find("fashion_mnist", here, system_folder=system) == system
    put_fashion_mnist(own / "fashion_mnist")
    assert find("fashion_mnist", here, system_folder=system) == own / "fashion_mnist"


def test_a_missing_data_set_is_an_error_that_names_the_commands_which_provide_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        find("fashion_mnist", PlatformEnvironment(data=str(tmp_path)), system_folder=tmp_path / "none")
    assert "apt-get install dataset-fashion-mnist" in str(raised.value)
    assert "python -m workloads data fetch fashion_mnist" in str(raised.value)
    assert str(tmp_path / "fashion_mnist") in str(raised.value)


def test_a_folder_that_lacks_a_file_does_not_hold_the_data_set(tmp_path: Path) -> None:
    put_fashion_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    assert not FASHION_MNIST.is_in(tmp_path)


@pytest.mark.parametrize("name", ["fashion_mnist", "mnist"])
def test_images_come_as_bytes_with_a_channel_and_labels_as_whole_numbers(tmp_path: Path, name: str) -> None:
    put_fashion_mnist(tmp_path / name)
    dataset = load(name, PlatformEnvironment(data=str(tmp_path)))
    assert dataset.train.images.shape == (6, 1, 28, 28)
    assert dataset.train.images.dtype == torch.uint8
    assert dataset.test.labels.dtype == torch.int64
    assert len(dataset.class_names) == 10


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        pytest.param({"num_labels": 5}, "it has 5 labels; train-images-idx3-ubyte.gz has 6 images", id="one too few"),
        pytest.param({"largest_label": 10}, "it has label 10; the largest is 9", id="unknown class"),
    ],
)
def test_labels_that_do_not_fit_the_images_are_a_damaged_file(
    tmp_path: Path, labels: dict[str, int], message: str
) -> None:
    put_fashion_mnist(tmp_path / "fashion_mnist", **labels)
    with pytest.raises(DataError) as raised:
        load("fashion_mnist", PlatformEnvironment(data=str(tmp_path)))
    assert "train-labels-idx1-ubyte is damaged" in str(raised.value)
    assert message in str(raised.value)


def test_the_version_of_a_data_set_is_that_of_its_content(tmp_path: Path) -> None:
    put_fashion_mnist(tmp_path / "a" / "fashion_mnist")
    put_fashion_mnist(tmp_path / "b" / "fashion_mnist", largest_label=8)
    a, same, b = (
        load("fashion_mnist", PlatformEnvironment(data=str(tmp_path / name))).version for name in ("a", "a", "b")
    )
    assert a == same != b


def test_digits_are_stretched_to_bytes_and_every_class_is_in_both_splits() -> None:
    dataset = load("digits", PlatformEnvironment())
    assert (len(dataset.train), len(dataset.test)) == (1438, 359)
    assert int(dataset.train.images.max()) == 255
    assert len(dataset.test.labels.unique()) == 10


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match="No data set cifar; there are fashion_mnist, mnist, cifar10"):
        find("cifar", PlatformEnvironment())


def test_without_a_data_folder_the_users_cache_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_folder(PlatformEnvironment()) == tmp_path / "ml-platform" / "data"


def test_digits_are_those_of_scikit_learn() -> None:
    whole = load_digits()  # rows of 64 pixels from 0 to 16
    dataset = digits.load()
    found = torch.cat([dataset.train.images, dataset.test.images]).flatten(1)
    labels = torch.cat([dataset.train.labels, dataset.test.labels])
    expected = (torch.as_tensor(whole.data) * 255 / 16).round()
    rows = torch.cat([found.to(torch.float64), labels[:, None]], dim=1).tolist()
    assert sorted(rows) == sorted(torch.cat([expected, torch.as_tensor(whole.target)[:, None]], dim=1).tolist())


def test_a_damaged_file_of_digits_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / digits.FILE).write_bytes(gzip.compress(b"1,2,3\n")[:-4])
    monkeypatch.setattr(digits, "folder", lambda: tmp_path)
    with pytest.raises(DataError, match=r"digits.csv.gz cannot be read"):
        digits.load()

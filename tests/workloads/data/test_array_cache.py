from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.workloads.data.test_datasets import put_fashion_mnist
from workloads.data.array_cache import load_cached
from workloads.data.dataset import Dataset
from workloads.data.datasets import load
from workloads.data.idx_datasets import FASHION_MNIST
from workloads.environment import PlatformEnvironment


@pytest.fixture
def here(tmp_path: Path) -> PlatformEnvironment:
    put_fashion_mnist(tmp_path / "data" / "fashion_mnist")
    return PlatformEnvironment(data=str(tmp_path / "data"))


def no_build() -> Dataset:
    raise AssertionError("built")


def files(here: PlatformEnvironment) -> list[Path]:
    return FASHION_MNIST.files_in(Path(here.data or "") / "fashion_mnist")


def test_what_was_unpacked_once_is_not_unpacked_again(here: PlatformEnvironment, cache: Path) -> None:
    first = load("fashion_mnist", here)
    again = load_cached("fashion_mnist", files(here), no_build, cache / "arrays")
    assert again.version == first.version
    assert torch.equal(again.test.labels, first.test.labels)
    assert again.class_names == first.class_names


def test_a_change_of_what_is_mapped_does_not_reach_the_file(here: PlatformEnvironment, cache: Path) -> None:
    first = load("fashion_mnist", here)
    load("fashion_mnist", here).train.images.fill_(9)
    assert load("fashion_mnist", here).version == first.version


def test_other_files_are_unpacked_anew(here: PlatformEnvironment, tmp_path: Path) -> None:
    first = load("fashion_mnist", here)
    put_fashion_mnist(tmp_path / "data" / "fashion_mnist", largest_label=8)
    assert load("fashion_mnist", here).version != first.version


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_a_damaged_copy_is_built_again_and_said_so(
    here: PlatformEnvironment, cache: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = load("fashion_mnist", here)
    [path] = (cache / "arrays").iterdir()
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-1], "changed": content[:-1] + b"\xff", "empty": b""}[damage])
    assert load("fashion_mnist", here).version == first.version
    assert f"{path} is damaged" in caplog.text
    assert load_cached("fashion_mnist", files(here), no_build, cache / "arrays").version == first.version


def test_a_folder_that_cannot_be_written_costs_time_alone(here: PlatformEnvironment, cache: Path) -> None:
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("a file where the folder would be")
    assert len(load("fashion_mnist", here).train) == 6

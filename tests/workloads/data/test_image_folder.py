from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from workloads.config import TrainConfig
from workloads.data.batches import batches
from workloads.data.dataset import Dataset, Split
from workloads.data.datasets import load
from workloads.environment import PlatformEnvironment
from workloads.errors import DataError
from workloads.ranks import Ranks
from workloads.training.run import TrainedModel, train_model

SIZE = 16
CPU = torch.device("cpu")


def put_images(folder: Path, *, per_class: int = 12, suffix: str = ".png") -> None:
    """Two classes: dark images and bright ones, higher than wide."""
    chance = np.random.default_rng(0)
    for split in ("train", "test"):
        for name, brightness in (("dark", 40), ("bright", 200)):
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(per_class):
                pixels = brightness + chance.integers(0, 40, (24, 20, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / name / f"{number:03}{suffix}")


@pytest.fixture
def here(tmp_path: Path) -> PlatformEnvironment:
    put_images(tmp_path / "image_folder")
    return PlatformEnvironment(data=str(tmp_path))


def load_folder(here: PlatformEnvironment) -> Dataset:
    return load("image_folder", here, image_size=SIZE)


def in_memory(split: Split) -> Split:
    return Split(images=split.images[:], labels=split.labels)


def test_classes_are_the_folders_and_images_squares_of_the_size_asked_for(here: PlatformEnvironment) -> None:
    dataset = load_folder(here)
    assert dataset.class_names == ("bright", "dark")
    assert dataset.train.images.shape == (24, 3, SIZE, SIZE)
    assert dataset.train.images[:2].shape == (2, 3, SIZE, SIZE)
    assert dataset.train.images[:].dtype == torch.uint8
    bright = dataset.train.take((dataset.train.labels == 0).nonzero().squeeze(1))
    assert int(bright.images[:].min()) > 150


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_batches_are_those_of_memory_in_the_same_order(here: PlatformEnvironment, num_workers: int) -> None:
    train = load_folder(here).train
    samples = [torch.tensor([3, 17, 5]), torch.tensor([0]), torch.tensor([23, 22])]
    read = list(batches(train, samples, CPU, num_workers))
    for (at, images, labels), (_, expected_images, expected_labels) in zip(
        read, batches(in_memory(train), samples, CPU, 0), strict=True
    ):
        assert torch.equal(images, expected_images)
        assert torch.equal(labels, expected_labels)
        assert torch.equal(train.labels[at], labels)


def test_a_run_on_files_is_the_run_on_the_same_images_in_memory(
    here: PlatformEnvironment, digits_config: Callable[..., TrainConfig]
) -> None:
    torch.set_num_threads(1)
    dataset = load_folder(here)
    loaded = Dataset(
        name="x", train=in_memory(dataset.train), test=in_memory(dataset.test), class_names=dataset.class_names
    )
    values = {"data.name": "image_folder", "data.num_workers": 0, "data.mix": "mixup", "global_batch_size": 8}
    config = digits_config(values | {"data.augmentation": "rand_augment", "data.validation_fraction": 0.25})

    def train(dataset: Dataset) -> TrainedModel:
        return train_model(config, dataset, Ranks(), CPU, lambda report: None)

    from_files, from_memory = train(dataset), train(loaded)
    for one, other in zip(from_files.module.parameters(), from_memory.module.parameters(), strict=True):
        assert torch.equal(one, other)
    assert from_files.validation == from_memory.validation


@pytest.mark.parametrize("num_workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_file_that_is_no_image_is_named(here: PlatformEnvironment, num_workers: int) -> None:
    train = load_folder(here).train
    path = Path(here.data or "") / "image_folder" / "train" / "bright" / "004.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"bright/004\.png is damaged: it cannot be read as an image"):
        list(batches(train, [torch.arange(24)], CPU, num_workers))


def test_the_version_changes_with_names_and_sizes_of_the_files_and_with_the_size_asked_for(
    here: PlatformEnvironment,
) -> None:
    first = load_folder(here).version
    assert load_folder(here).version == first
    assert load("image_folder", here, image_size=SIZE + 1).version != first
    path = Path(here.data or "") / "image_folder" / "train" / "bright" / "000.png"
    path.write_bytes(path.read_bytes() + b"x")
    longer = load_folder(here).version
    path.unlink()
    assert len({first, longer, load_folder(here).version}) == 3


def test_a_folder_without_the_classes_it_should_have_is_told(here: PlatformEnvironment) -> None:
    folder = Path(here.data or "") / "image_folder"
    (folder / "train" / "grey").mkdir()
    with pytest.raises(DataError, match=r"must have the same classes; one alone has \['grey'\]"):
        load_folder(here)
    (folder / "test" / "grey").mkdir()
    with pytest.raises(DataError, match=r"train/grey holds no images; put some there, ending in \.png"):
        load_folder(here)


def test_a_folder_that_is_not_there_is_told_with_what_it_must_hold(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"put a folder a class into .*image_folder/train"):
        load_folder(PlatformEnvironment(data=str(tmp_path)))

from __future__ import annotations

import pytest
import torch

from workloads.data.dataset import Split
from workloads.data.splits import stratified_sample, stratified_split
from workloads.errors import DataError


def numbered(counts: list[int]) -> Split:
    """A split in which image number i holds the pixel i, with `counts[k]` images of class k."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    images = torch.arange(len(labels), dtype=torch.uint8).reshape(-1, 1, 1, 1)
    return Split(images=images, labels=labels)


def test_each_class_gives_its_share_and_no_image_is_in_both_parts() -> None:
    rest, apart = stratified_split(numbered([100, 50, 10]), 0.1, seed=3)
    assert torch.bincount(apart.labels).tolist() == [10, 5, 1]
    pixels = torch.cat([rest.images, apart.images]).flatten()
    assert sorted(pixels.tolist()) == list(range(160))


def test_the_same_seed_takes_the_same_images_and_another_takes_others() -> None:
    split = numbered([100, 100])
    (_, first), (_, again), (_, other) = (stratified_split(split, 0.2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)


def test_a_class_of_one_image_cannot_be_split() -> None:
    with pytest.raises(DataError, match="Class 1 has 1 images"):
        stratified_split(numbered([5, 1]), 0.2, seed=0)


def test_a_sample_has_as_many_images_of_each_class_where_they_last() -> None:
    assert torch.bincount(stratified_sample(numbered([50, 50, 2]), 20, seed=0).labels).tolist() == [9, 9, 2]


def test_a_sample_larger_than_the_split_is_refused() -> None:
    with pytest.raises(DataError, match=r"data\.num_train is 11; the training split has 10 images"):
        stratified_sample(numbered([5, 5]), 11, seed=0)

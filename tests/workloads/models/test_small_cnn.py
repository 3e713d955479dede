from __future__ import annotations

import pytest
import torch

from workloads.config import ModelConfig, Norm
from workloads.data.dataset import Split
from workloads.models.build import ModelSpec


def split_of(size: int, channels: int = 1) -> Split:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (20, channels, size, size), generator=draw, dtype=torch.uint8)
    return Split(images=images, labels=torch.arange(20) % 10)


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("size", [8, 28])
def test_bytes_of_either_data_set_become_logits(size: int, norm: Norm) -> None:
    split = split_of(size)
    model = ModelSpec.of(ModelConfig(width=6, norm=norm), split, num_classes=10).build(seed=0)
    logits = model(split.images)
    assert logits.shape == (20, 10)
    assert logits.dtype == torch.float32


def test_the_model_normalises_the_images_it_is_given() -> None:
    split = split_of(8, channels=2)
    spec = ModelSpec.of(ModelConfig(), split, num_classes=10)
    model = spec.build(seed=0)
    state = model.state_dict()
    normalised = (split.images / 255 - state["mean"]) / state["std"]
    assert torch.allclose(normalised.mean((0, 2, 3)), torch.zeros(2), atol=1e-3)
    assert torch.allclose(normalised.std((0, 2, 3)), torch.ones(2), atol=1e-3)


def test_the_seed_decides_the_weights() -> None:
    spec = ModelSpec.of(ModelConfig(), split_of(8), num_classes=10)
    first, again, other = (spec.build(seed).state_dict()["classifier.weight"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_pixels_of_one_colour_do_not_divide_by_zero() -> None:
    grey = Split(images=torch.full((4, 1, 8, 8), 7, dtype=torch.uint8), labels=torch.zeros(4, dtype=torch.int64))
    assert ModelSpec.of(ModelConfig(), grey, num_classes=10).build(0)(grey.images).isfinite().all()

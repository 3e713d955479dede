"""The gradient of a batch in pieces."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from workloads.config import ModelConfig, Norm
from workloads.data.dataset import Split
from workloads.errors import WorkloadError
from workloads.models.build import ModelSpec
from workloads.training.gradients import Gradients

NUM_IMAGES = 24
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def split() -> Split:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (NUM_IMAGES, 1, 8, 8), generator=draw, dtype=torch.uint8)
    return Split(images=images, labels=torch.arange(NUM_IMAGES) % 10)


class Limited(nn.Module):
    """A model on a device whose memory holds `limit` images."""

    def __init__(self, model: nn.Module, limit: int) -> None:
        super().__init__()
        self.model, self.limit = model, limit
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        logits: Tensor = self.model(images)
        if len(images) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return logits


def model_of(split: Split, norm: Norm = "group", dropout: float = 0.0) -> nn.Module:
    return ModelSpec.of(ModelConfig(width=8, norm=norm, dropout=dropout), split, 10).build(seed=0).train()


def gradients_of(model: nn.Module, micro_batch_size: int | None = None, precision: str = "fp32") -> Gradients:
    return Gradients(
        model,
        device=CPU,
        precision=precision,
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        label_smoothing=0.1,
        micro_batch_size=micro_batch_size,
    )


def backward(gradients: Gradients, split: Split) -> Tensor:
    return gradients.backward(split.images, split.labels, weight=1 / len(split), seed=3)


def gradient(model: nn.Module) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


@pytest.mark.parametrize("size", [1, 5, 8, 23, 24, 100])
def test_pieces_of_any_size_sum_to_the_gradient_and_loss_of_the_whole(split: Split, size: int) -> None:
    whole, pieces = model_of(split), model_of(split)
    expected = backward(gradients_of(whole), split)
    found = backward(gradients_of(pieces, size), split)
    assert float((gradient(whole) - gradient(pieces)).abs().max()) <= 1e-6
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_a_full_memory_halves_the_pieces_until_they_fit_and_the_gradient_stays(split: Split) -> None:
    whole = model_of(split)
    limited = Limited(model_of(split), limit=7)
    gradients = gradients_of(limited)
    expected = backward(gradients_of(whole), split)
    found = backward(gradients, split)
    assert limited.sizes == [24, 12, 6, 6, 6, 6]
    assert gradients.micro_batch_size == 6  # and so it stays
    assert float((gradient(whole) - gradient(limited.model)).abs().max()) <= 1e-6
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize(("norm", "dropout"), [("batch", 0.0), ("batch", 0.3)])
def test_what_ran_out_of_memory_leaves_no_trace(split: Split, norm: Norm, dropout: float) -> None:
    limited, small = Limited(model_of(split, norm, dropout), limit=7), model_of(split, norm, dropout)
    backward(gradients_of(limited), split)
    backward(gradients_of(small, 6), split)
    assert torch.equal(gradient(limited.model), gradient(small))
    for one, other in zip(limited.model.buffers(), small.buffers(), strict=True):
        assert torch.equal(one, other)


def test_a_memory_that_does_not_hold_one_image_is_told(split: Split) -> None:
    with pytest.raises(WorkloadError, match="does not hold one image"):
        backward(gradients_of(Limited(model_of(split), limit=0)), split)


def test_another_batch_does_not_add_to_the_gradient_of_the_one_before(split: Split) -> None:
    once, twice = model_of(split), model_of(split)
    backward(gradients_of(once), split)
    gradients = gradients_of(twice)
    backward(gradients, split)
    backward(gradients, split)
    assert torch.equal(gradient(once), gradient(twice))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_lower_precision_is_near_and_not_the_same(split: Split, precision: str) -> None:
    exact, rough = model_of(split), model_of(split)
    expected = backward(gradients_of(exact), split)
    found = backward(gradients_of(rough, precision=precision), split)
    assert float(found) == pytest.approx(float(expected), rel=0.02)
    assert not torch.equal(gradient(exact), gradient(rough))
    assert all(parameter.grad is not None and parameter.grad.dtype == torch.float32 for parameter in rough.parameters())

"""What only a GPU can show; run on request, with `pytest -m gpu`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workloads.config import TrainConfig
from workloads.data.datasets import load
from workloads.environment import PlatformEnvironment
from workloads.ranks import Ranks
from workloads.training.run import TrainedModel, train_model

pytestmark = pytest.mark.gpu
ConfigBuilder = Callable[..., TrainConfig]
GPU = torch.device("cuda", 0)


def train(config: TrainConfig, device: torch.device) -> TrainedModel:
    dataset = load("digits", PlatformEnvironment())
    return train_model(config, dataset, Ranks(), device, lambda _: None)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("compile", [False, True], ids=["plain", "translated"])
def test_it_learns_digits_in_every_precision(digits_config: ConfigBuilder, precision: str, compile: bool) -> None:  # noqa: A002  the setting's name
    changes = {"compute.precision": precision, "compute.compile": compile, "epochs": 8, "device": "cuda"}
    trained = train(digits_config(changes), GPU)
    assert trained.validation.accuracy >= 0.9
    assert next(trained.module.parameters()).is_cuda


def test_it_learns_what_the_processor_learns(digits_config: ConfigBuilder) -> None:
    config = digits_config({"compute.precision": "fp32", "epochs": 1, "model.norm": "group"})
    here, there = (train(config, device).result.train_loss for device in (torch.device("cpu"), GPU))
    assert there == pytest.approx(here, rel=1e-2)


def test_a_batch_that_does_not_fit_is_trained_in_pieces(digits_config: ConfigBuilder) -> None:
    config = digits_config({"epochs": 1, "model.width": 512, "global_batch_size": 1024})
    _, total = torch.cuda.mem_get_info(GPU)
    torch.cuda.set_per_process_memory_fraction(min(1.0, 2**30 / total), GPU)
    try:
        assert train(config, GPU).reports
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, GPU)


def test_a_checkpoint_of_a_gpu_goes_on_where_there_is_none(digits_config: ConfigBuilder) -> None:
    saved: list[dict[str, object]] = []

    class Keep:
        def save(self, step: int, state: object, *, score: float | None = None) -> None:
            assert isinstance(state, dict)
            saved.append(state)

    config = digits_config({"epochs": 2, "compute.precision": "fp32"})
    dataset = load("digits", PlatformEnvironment())
    train_model(config, dataset, Ranks(), GPU, lambda _: None, saver=Keep())
    gone_on = train_model(config, dataset, Ranks(), torch.device("cpu"), lambda _: None, state=saved[0])
    assert len(gone_on.reports) == 2

from __future__ import annotations

import pytest
import torch

from workloads.config import MODELS, ModelConfig
from workloads.data.datasets import Dataset, Split
from workloads.environment import PlatformEnvironment
from workloads.models.build import ModelSpec
from workloads.registry.model_form import load_program, register
from workloads.tracking.tracker import MlflowTracker


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)], ids=["grey", "colour"])
@pytest.mark.parametrize("name", MODELS)
def test_every_net_answers_from_the_registry_as_it_did(
    name: str, channels: int, size: int, environment: PlatformEnvironment
) -> None:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (7, channels, size, size), generator=draw, dtype=torch.uint8)
    split = Split(images=images, labels=torch.arange(7))
    dataset = Dataset(name="x", train=split, test=split, class_names=tuple(map(str, range(10))))
    spec = ModelSpec.of(ModelConfig(name=name, width=8), split, 10)
    module = spec.build(seed=0).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]  # torch's stub lacks it
    assert environment.tracking_uri is not None
    with MlflowTracker.start(environment, experiment="e", run_name="r", params={}, tags={}) as tracker:
        version = register(tracker, module, spec, dataset, "net")
    program = load_program(f"models:/net/{version}", environment.tracking_uri)
    for number in (1, 7):
        found = program(images[:number])
        assert found.dtype == torch.float32
        assert torch.allclose(found, module(images[:number]), atol=1e-5)

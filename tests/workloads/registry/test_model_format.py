from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from workloads.config import MODELS, ModelConfig, ModelName
from workloads.data.dataset import Dataset, Split
from workloads.environment import PlatformEnvironment
from workloads.models.build import ModelSpec
from workloads.models.classifier import ImageClassifier
from workloads.registry.model_format import load_program, register
from workloads.tracking.tracker import MlflowTracker

REPOSITORY = Path(__file__).resolve().parents[3]
EXPORTS = ("torch.export", "torch.onnx", "torch.jit", "mlflow.pytorch.log_model", "mlflow.pytorch.save_model")


def names_used(path: Path) -> Iterator[str]:
    """Every dotted name in a file's code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def test_one_module_alone_exports_models() -> None:
    exporters = {
        path.relative_to(REPOSITORY).as_posix()
        for part in ("workloads", "stacks", "bench", "images")
        for path in (REPOSITORY / part).rglob("*.py")
        if any(name == export or name.startswith(f"{export}.") for name in names_used(path) for export in EXPORTS)
    }
    assert exporters == {"workloads/registry/model_format.py"}


class Far(ImageClassifier):
    """Where no export can follow its weights until it is brought to the CPU."""

    is_here = False

    def cpu(self) -> Far:
        self.is_here = True
        return super().cpu()

    def forward(self, images_nchw: Tensor) -> Tensor:
        if not self.is_here:
            raise RuntimeError("the weights are on another device")
        return super().forward(images_nchw)


def test_what_is_registered_takes_bytes_and_answers_as_in_evaluation_wherever_and_however_it_was_trained(
    environment: PlatformEnvironment,
) -> None:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (5, 1, 4, 4), generator=draw, dtype=torch.uint8)
    split = Split(images=images, labels=torch.arange(5))
    dataset = Dataset(name="x", train=split, test=split, class_names=("a", "b"))
    mean, std = split.mean_and_std()
    features = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten())
    module = Far(features, num_features=16, num_classes=2, mean=mean, std=std, dropout=0.5).train()
    spec = ModelSpec(name="far", arguments={})
    assert environment.tracking_uri is not None
    with MlflowTracker.start(environment, experiment="e", run_name="r", params={}, tags={}) as tracker:
        version = register(tracker, module, spec, dataset, "net")
    assert module.training
    assert not module.is_here

    program = load_program(f"models:/net/{version}", environment.tracking_uri)
    assert {tensor.device.type for tensor in program.state_dict().values()} == {"cpu"}
    module.eval()
    normalised = (images / 255 - torch.tensor(mean)) / torch.tensor(std)
    assert torch.allclose(program(images), module.classifier(features(normalised)), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)], ids=["grey", "colour"])
@pytest.mark.parametrize("name", MODELS)
def test_every_net_answers_from_the_registry_as_it_did(
    name: ModelName, channels: int, size: int, environment: PlatformEnvironment
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

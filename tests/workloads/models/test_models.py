from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from workloads.config import MODELS, ModelConfig, ModelName, Norm
from workloads.data.dataset import Split
from workloads.models.build import ModelSpec

LARGE_NETS = tuple(name for name in MODELS if name != "small_cnn")


def split_of(size: int, channels: int, num_samples: int = 3) -> Split:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (num_samples, channels, size, size), generator=draw, dtype=torch.uint8)
    return Split(images=images, labels=torch.arange(num_samples))


def build(config: ModelConfig, split: Split, num_classes: int = 10) -> nn.Module:
    return ModelSpec.of(config, split, num_classes).build(seed=0).eval()


@pytest.mark.parametrize(
    ("name", "size", "num_classes", "published"),
    [
        # https://github.com/kuangliu/pytorch-cifar and the many that count it
        pytest.param("resnet18", 32, 10, 11_173_962, id="resnet18 with the stem for CIFAR"),
        pytest.param("resnet9", 32, 10, 6_573_130, id="resnet9"),
        # https://docs.pytorch.org/vision/stable/models/mobilenetv3.html
        pytest.param("mobilenet_v3_small", 224, 1000, 2_542_856, id="mobilenet_v3_small"),
        pytest.param("mobilenet_v3_large", 224, 1000, 5_483_032, id="mobilenet_v3_large"),
    ],
)
def test_a_net_has_as_many_weights_as_are_published(
    name: ModelName, size: int, num_classes: int, published: int
) -> None:
    model = build(ModelConfig(name=name), split_of(size, 3), num_classes)
    assert sum(parameter.numel() for parameter in model.parameters()) == published


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3)], ids=["grey", "colour"])
@pytest.mark.parametrize("name", MODELS)
def test_bytes_become_float32_logits(name: ModelName, size: int, channels: int, norm: Norm) -> None:
    split = split_of(size, channels)
    logits = build(ModelConfig(name=name, width=8, norm=norm), split)(split.images)
    assert logits.shape == (3, 10)
    assert logits.dtype == torch.float32
    assert logits.std() > 0


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_of_a_net_is_learned(name: ModelName) -> None:
    split = split_of(32, 3)
    model = build(ModelConfig(name=name, width=8), split).train()
    model(split.images).square().sum().backward()
    unused = [key for key, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert unused == []


@pytest.mark.parametrize("name", LARGE_NETS)
def test_a_net_with_group_norm_answers_for_each_image_alone(name: ModelName) -> None:
    split = split_of(32, 3)
    model = build(ModelConfig(name=name, width=8, norm="group"), split).train()
    assert torch.allclose(model(split.images)[:1], model(split.images[:1]), atol=1e-5)


@pytest.mark.parametrize(("size", "last_side"), [(32, 4), (224, 7)])
def test_a_mobile_net_halves_small_images_less_often(size: int, last_side: int) -> None:
    split = split_of(size, 3, num_samples=1)
    model = build(ModelConfig(name="mobilenet_v3_small"), split)
    sides: list[int] = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda module, given, got: sides.append(got.shape[-1]))
    model(split.images)
    assert sides[0] == (32 if size == 32 else 112)
    assert sides[-1] == last_side


@pytest.mark.parametrize("name", MODELS)
def test_a_net_is_exported_for_any_number_of_images(name: ModelName) -> None:
    split = split_of(32, 3, num_samples=5)
    model = build(ModelConfig(name=name, width=8), split)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        dynamic = {0: torch.export.Dim("n", min=1)}
        program = torch.export.export(model, (split.images[:2],), dynamic_shapes=(dynamic,)).module()
        assert torch.allclose(program(split.images), model(split.images), atol=1e-5)

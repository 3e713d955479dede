"""Arithmetic counted for a net, and what GPUs can do."""

from __future__ import annotations

import pytest
import torch

from workloads.models.build import ModelSpec
from workloads.training.flops import PASSES, gpu_peak_flop_per_s, measure_training, peak_flop_per_s

SPEC = ModelSpec(
    name="small_cnn",
    arguments={
        "in_channels": 1,
        "image_size": 28,
        "num_classes": 10,
        "mean": [0.5],
        "std": [0.5],
        "width": 4,
        "norm": "batch",
        "dropout": 0.0,
    },
)


def test_flops_are_two_for_each_product_of_every_layer_forward_and_twice_backward() -> None:
    products = 0

    def count(module: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal products
        if isinstance(module, torch.nn.Conv2d):
            kernel = module.kernel_size[0] * module.kernel_size[1] * module.in_channels // module.groups
            products += output.numel() * kernel
        if isinstance(module, torch.nn.Linear):
            products += output.numel() * module.in_features

    model = SPEC.build(0)
    for module in model.modules():
        module.register_forward_hook(count)
    model(torch.zeros(3, 1, 28, 28, dtype=torch.uint8))
    num_parameters, flops, _ = measure_training(SPEC, (1, 28, 28), 3)
    assert flops == PASSES * 2 * products
    assert num_parameters == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "tflop_per_s"),
    [
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA A10G", 70),
        ("Tesla T4", 65),
        ("NVIDIA A100-SXM4-40GB", 312),
        ("NVIDIA H100 80GB HBM3", 989),
        ("Tesla V100-SXM2-16GB", 125),
        ("Radeon", None),
    ],
)
def test_a_gpus_peak_is_known_by_its_name(name: str, tflop_per_s: float | None) -> None:
    assert gpu_peak_flop_per_s(name) == (None if tflop_per_s is None else tflop_per_s * 1e12)


def test_nothing_is_said_of_a_processor() -> None:
    assert peak_flop_per_s(torch.device("cpu"), "bf16") is None

"""The arithmetic that training asks for, and how much of a GPU's it uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from workloads.models.build import ModelSpec

PASSES = 3
"""Forward, and backward for weights and for what they were applied to; torch counts backward ones of grouped
convolutions as if they had no groups."""
PEAK_TFLOP_PER_S = {
    "H200": 989,
    "H100": 989,
    "A100": 312,
    "L40S": 362,
    "A10G": 70,
    "L4": 121,
    "V100": 125,
    "T4": 65,
}
"""Of 16-bit products summed in 32 bits, dense, by NVIDIA's data sheets; a name is looked for in this order."""


def measured(spec: ModelSpec, image_shape: Sequence[int], num_images: int) -> tuple[int, int, int]:
    """Weights, FLOPs to train on so many images, and bytes that the backward pass needs of the forward one.

    Nothing is computed: the net has shapes and no numbers.
    """
    with torch.device("meta"):
        model: nn.Module = spec.build(seed=0).train()
    images = torch.empty(num_images, *image_shape, dtype=torch.uint8, device="meta")
    labels = torch.empty(num_images, dtype=torch.int64, device="meta")
    saved: dict[Any, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            saved[storage._cdata] = storage.nbytes()
        return tensor

    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        cross_entropy(model(images), labels)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    return num_parameters, PASSES * counter.get_total_flops(), sum(saved.values())


def peak_flop_per_s(device: torch.device, precision: str) -> float | None:
    """Of one GPU in a 16-bit precision; None where it is not known."""
    if device.type != "cuda" or precision == "fp32":
        return None
    return peak_of(torch.cuda.get_device_name(device))


def peak_of(name: str) -> float | None:
    """Of the GPU of that name."""
    words = name.replace("-", " ").split()
    return next((peak * 1e12 for known, peak in PEAK_TFLOP_PER_S.items() if known in words), None)

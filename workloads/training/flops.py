"""FLOPs and activation memory of training, and the peak FLOP/s of GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from workloads.models.build import ModelSpec
from workloads.models.classifier import num_parameters

PASSES = 3
"""Passes per training step in units of the forward one: forward, and backward for weights and for inputs. torch counts
backward passes of grouped convolutions as if they had no groups, so they are not counted by it."""
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
"""Peak TFLOP/s of 16-bit products summed in 32 bits, dense, by NVIDIA's data sheets; names are matched in this
order."""


def measure_training(spec: ModelSpec, image_shape: Sequence[int], num_images: int) -> tuple[int, int, int]:
    """Return the number of parameters, the FLOPs of training on `num_images`, and the bytes of saved activations.

    `image_shape` is [C, H, W]. Nothing is computed: the network is on the meta device.
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
    return num_parameters(model), PASSES * counter.get_total_flops(), sum(saved.values())


def peak_flop_per_s(device: torch.device, precision: str) -> float | None:
    """Return the peak FLOP/s of one GPU in a 16-bit precision; None for another device or an unknown GPU."""
    if device.type != "cuda" or precision == "fp32":
        return None
    return gpu_peak_flop_per_s(torch.cuda.get_device_name(device))


def gpu_peak_flop_per_s(name: str) -> float | None:
    """Return the peak FLOP/s of the GPU of that name; None for an unknown one."""
    words = name.replace("-", " ").split()
    return next((peak * 1e12 for known, peak in PEAK_TFLOP_PER_S.items() if known in words), None)

"""The optimizer step: gradients are unscaled and clipped, and applied at the scheduled learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from workloads.config import TrainConfig
from workloads.training.averaging import Average
from workloads.training.schedule import SCHEDULES


class Optimization:
    """The optimizer of `module` with its schedule over `total_steps`, gradient scaler and weight average.

    `module` has float32 parameters on `device`; `precision` is that of the products, and fp16 enables the scaler.
    """

    def __init__(
        self, config: TrainConfig, module: nn.Module, *, total_steps: int, device: torch.device, precision: str
    ) -> None:
        optim = config.optim
        self.module, self.total_steps, self.max_grad_norm = module, total_steps, optim.max_grad_norm
        self.parameters = list(module.parameters())
        self.optimizer = optimizer_of(config, self.parameters)
        self.schedule = SCHEDULES[optim.schedule]
        self.highest_lr = highest_lr(config)
        self.warmup_steps = min(int(optim.warmup_fraction * total_steps), total_steps - 1)
        # Keeps the small gradients of fp16 from vanishing (https://arxiv.org/abs/1710.03740).
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self.average = Average(module, optim.ema_decay) if optim.ema_decay else None

    def lr_at(self, step: int) -> float:
        """Return the learning rate of an optimizer step (0-based)."""
        return self.highest_lr * self.schedule(step, self.warmup_steps, self.total_steps)

    def step(self, step: int) -> None:
        """Take optimizer step number `step` (0-based) with the gradients that the parameters hold.

        They are float32 in the parameters' shapes, times the scaler's scale; the scaler skips a step with gradients
        that are not finite.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr_at(step)
        if self.max_grad_norm is not None:
            self.scaler.unscale_(self.optimizer)
            clip_grad_norm_(self.parameters, self.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average:
            self.average.update(self.module, step)

    def state_dict(self) -> dict[str, Any]:
        """Return all state that the next step depends on, besides the weights."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.module.state_dict() if self.average else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.module.load_state_dict(state["average"])


def optimizer_of(config: TrainConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimizer of that name; fused: one pass over all weights, on every device that we train on."""
    optim = config.optim
    common: dict[str, Any] = {"lr": highest_lr(config), "weight_decay": optim.weight_decay, "fused": True}
    match optim.name:
        case "sgd":
            return torch.optim.SGD(parameters, momentum=optim.momentum, nesterov=optim.momentum > 0, **common)
        case "adam":
            return torch.optim.Adam(parameters, betas=(optim.momentum, 0.999), **common)
        case _:
            return torch.optim.AdamW(parameters, betas=(optim.momentum, 0.999), **common)


def highest_lr(config: TrainConfig) -> float:
    """Return `optim.lr`, scaled linearly with the batch if `lr_batch_size` is set (https://arxiv.org/abs/1706.02677)."""
    optim = config.optim
    return optim.lr * (config.global_batch_size / optim.lr_batch_size if optim.lr_batch_size else 1)

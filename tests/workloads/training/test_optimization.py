from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from workloads.config import TrainConfig
from workloads.training.optimization import Optimization, highest_lr

ConfigBuilder = Callable[..., TrainConfig]
TOTAL_STEPS = 20


def optimization(config: TrainConfig, module: nn.Module, precision: str = "fp32") -> Optimization:
    return Optimization(config, module, total_steps=TOTAL_STEPS, device=torch.device("cpu"), precision=precision)


def line() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def give_gradient(module: nn.Module, size: float = 1.0) -> None:
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, size)


@pytest.mark.parametrize(
    ("name", "reference", "arguments"),
    [
        ("sgd", torch.optim.SGD, {"momentum": 0.8, "nesterov": True}),
        ("adam", torch.optim.Adam, {"betas": (0.8, 0.999)}),
        ("adamw", torch.optim.AdamW, {"betas": (0.8, 0.999)}),
    ],
)
def test_each_optimizer_is_torchs_of_that_name_at_the_rate_of_the_step(
    digits_config: ConfigBuilder, name: str, reference: Callable[..., torch.optim.Optimizer], arguments: dict[str, Any]
) -> None:
    config = digits_config({"optim.name": name, "optim.momentum": 0.8, "optim.weight_decay": 0.02})
    module, other = line(), line()
    ours = optimization(config, module)
    theirs = reference(other.parameters(), weight_decay=0.02, **arguments)
    for step in range(5):
        give_gradient(module, 0.3 + step)
        give_gradient(other, 0.3 + step)
        theirs.param_groups[0]["lr"] = ours.lr_at(step)
        ours.step(step)
        theirs.step()
    assert torch.allclose(module.weight, other.weight, atol=1e-6)


@pytest.mark.parametrize(("meant_for", "expected"), [(None, 0.1), (64, 0.1), (16, 0.4), (128, 0.05)])
def test_the_rate_goes_with_the_batch_where_it_says_for_which_it_is_meant(
    digits_config: ConfigBuilder, meant_for: int | None, expected: float
) -> None:
    config = digits_config({"optim.lr_batch_size": meant_for, "global_batch_size": 64})
    assert highest_lr(config) == pytest.approx(expected)


def test_a_long_gradient_is_shortened_and_a_short_one_left_alone(digits_config: ConfigBuilder) -> None:
    config = digits_config({"optim.max_grad_norm": 0.5})
    for size, expected in ((10.0, 0.5), (0.01, 0.01 * 8**0.5)):
        module = line()
        give_gradient(module, size)
        optimization(config, module).step(0)
        norm = torch.cat([parameter.grad.flatten() for parameter in module.parameters() if parameter.grad is not None])
        assert float(norm.norm()) == pytest.approx(expected, rel=1e-4)


def test_with_fp16_the_gradient_is_bounded_without_its_scale_and_one_that_overflowed_is_passed_over(
    digits_config: ConfigBuilder,
) -> None:
    module = line()
    before = module.weight.clone()
    optimization_ = optimization(digits_config({"optim.max_grad_norm": 0.5}), module, "fp16")
    optimization_.scaler.scale(torch.ones(()))  # begins
    give_gradient(module, float("inf"))
    optimization_.step(0)
    assert torch.equal(module.weight, before)
    assert optimization_.scaler.get_scale() == 2**15
    give_gradient(module, 10 * 2.0**15)
    optimization_.step(1)
    norm = torch.cat([parameter.grad.flatten() for parameter in module.parameters() if parameter.grad is not None])
    assert float(norm.norm()) == pytest.approx(0.5, rel=1e-4)

    again = optimization(digits_config(), line(), "fp16")
    again.load_state_dict(optimization_.state_dict())
    again.scaler.scale(torch.ones(()))
    assert again.scaler.get_scale() == 2**15


def test_averaged_weights_follow_the_newest_at_their_pace(digits_config: ConfigBuilder) -> None:
    linear = nn.Linear(3, 2)
    module = nn.Sequential(linear, nn.BatchNorm1d(2))
    optimization_ = optimization(digits_config({"optim.ema_decay": 0.5}), module)
    assert optimization_.average is not None
    expected: Tensor = linear.weight.detach().clone()
    for step in range(8):
        module(torch.randn(4, 3))  # moves the norm's statistics
        give_gradient(module)
        optimization_.step(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * linear.weight.detach()
    averaged = dict(optimization_.average.module.state_dict())
    assert torch.allclose(averaged["0.weight"], expected, atol=1e-6)
    assert not torch.equal(averaged["1.running_mean"], module.state_dict()["1.running_mean"])
    assert int(averaged["1.num_batches_tracked"]) == 8

from __future__ import annotations

from collections.abc import Callable

import pytest

from workloads.config import TrainConfig
from workloads.environment import PlatformEnvironment
from workloads.errors import DataError, TrackingError, WorkloadError
from workloads.training.validate import Forecast, validate

ConfigBuilder = Callable[..., TrainConfig]


def forecast(config: TrainConfig, price: str | None = None, budget_usd: float | None = None) -> Forecast:
    environment = PlatformEnvironment(price_usd_per_hour=price)
    return validate(config, environment, budget_usd=budget_usd, tracking=False)


def test_what_a_run_would_take_is_told(digits_config: ConfigBuilder) -> None:
    found = forecast(digits_config({"epochs": 20}), price="2")
    assert (found.num_train, found.num_validation, found.num_test, found.image_shape) == (1295, 143, 359, (1, 8, 8))
    assert found.num_steps == 20 * 21
    width = 4
    macs = 64 * 9 * width + 16 * 9 * width * 2 * width + 4 * 9 * 2 * width * 4 * width + 4 * width * 10
    assert found.tflop_per_step * 1e12 == pytest.approx(3 * 2 * 64 * macs)
    assert 0 < found.hours < 1
    assert found.price_usd == pytest.approx(2 * found.hours)
    assert forecast(digits_config()).price_usd is None


def test_smaller_pieces_need_less_memory_and_as_much_work(digits_config: ConfigBuilder) -> None:
    whole, pieces = (forecast(digits_config({"compute.micro_batch_size": size, "max_steps": 4})) for size in (None, 8))
    assert pieces.memory_gib < whole.memory_gib / 2
    assert pieces.tflop_per_step == whole.tflop_per_step


def test_a_run_above_the_budget_is_refused_with_both_prices(digits_config: ConfigBuilder) -> None:
    assert forecast(digits_config(), price="1", budget_usd=1000)
    with pytest.raises(WorkloadError, match=r"would cost about .* USD \(42 steps, .*above the budget of 0\.01 USD"):
        forecast(digits_config(), price="1e9", budget_usd=0.01)
    with pytest.raises(WorkloadError, match=r"about 0\.0\d*[1-9]\d* USD .* above the budget of 1e-10 USD"):
        forecast(digits_config(), price="0.001", budget_usd=1e-10)
    with pytest.raises(WorkloadError, match="MLP_PRICE_USD_PER_HOUR is not set"):
        forecast(digits_config(), budget_usd=1)


def test_what_would_stop_the_run_is_told(digits_config: ConfigBuilder) -> None:
    with pytest.raises(DataError, match="Data set cifar10 is not in"):
        validate(digits_config({"data.name": "cifar10"}), PlatformEnvironment(data="/none"), tracking=False)
    with pytest.raises(TrackingError, match=r"127\.0\.0\.1:1 does not answer"):
        validate(digits_config(), PlatformEnvironment(tracking_uri="http://127.0.0.1:1"))

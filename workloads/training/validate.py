"""The cost of a run before it starts: estimated from its data, its network without weights, and a few steps."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from workloads.config import TrainConfig
from workloads.data.dataset import Dataset, Split
from workloads.data.datasets import load
from workloads.data.splits import training_splits
from workloads.environment import PRICE, PlatformEnvironment
from workloads.errors import WorkloadError
from workloads.models.build import ModelSpec
from workloads.price import SECONDS_PER_HOUR, price_per_hour, rounded
from workloads.ranks import Ranks
from workloads.tracking.connection import check_server
from workloads.training.devices import resolve_device, resolve_precision, set_threads
from workloads.training.flops import measure_training
from workloads.training.trainer import Trainer

TIMED_STEPS = 3
STATE_VALUES = {"sgd": 1, "adam": 2, "adamw": 2}
"""Values per weight that an optimizer keeps."""
FLOAT_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The estimate of one run on one rank of this machine."""

    dataset: str
    num_train: int
    num_validation: int
    num_test: int
    image_shape: tuple[int, ...]
    """Channels, height, width."""
    num_parameters: int
    tflop_per_step: float
    """TFLOP of forward and backward of a global batch."""
    num_steps: int
    device: str
    precision: str
    memory_gib: float
    """Memory of the device in GiB: images, weights, gradients, optimizer state, and activations of a micro-batch."""
    hours: float
    """Time of training by that of a few steps here, without evaluation, in hours."""
    price_usd: float | None
    """Price in US dollars; None where no price per hour is configured."""


def validate(
    config: TrainConfig, environment: PlatformEnvironment, *, budget_usd: float | None = None, tracking: bool = True
) -> Forecast:
    """Estimate the cost of the run; raise WorkloadError for what would stop it, and for a price above the budget."""
    price = price_per_hour(environment)
    if budget_usd is not None and price is None:
        raise WorkloadError(f"--budget-usd is {budget_usd:g} and {PRICE} is not set; set it to what an hour costs")
    if tracking:
        check_server(environment, can_go_without=True)
    dataset = load(config.data.name, environment, image_size=config.data.image_size)
    train, validation = training_splits(
        dataset.train,
        validation_fraction=config.data.validation_fraction,
        num_train=config.data.num_train,
        seed=config.seed,
    )
    ranks = Ranks()
    device = resolve_device(config.device, ranks)
    set_threads(config.num_threads, ranks)
    spec = ModelSpec.of(config.model, train, len(dataset.class_names))
    batch_size = min(config.global_batch_size, len(train))
    micro_batch_size = min(config.compute.micro_batch_size or batch_size, batch_size)
    num_parameters, flops, activations = measure_training(spec, train.images.shape[1:], micro_batch_size)
    trainer = _trainer(config, spec, train, validation, dataset, device)
    hours = _seconds_of_step(trainer) * trainer.total_steps / SECONDS_PER_HOUR
    forecast = Forecast(
        dataset=dataset.name,
        num_train=len(train),
        num_validation=len(validation),
        num_test=len(dataset.test),
        image_shape=tuple(train.images.shape[1:]),
        num_parameters=num_parameters,
        tflop_per_step=flops * batch_size / micro_batch_size / 1e12,
        num_steps=trainer.total_steps,
        device=device.type,
        precision=resolve_precision(config.compute.precision, device),
        memory_gib=(_state_bytes(config, num_parameters, trainer.train_loader.split) + activations) / 2**30,
        hours=hours,
        price_usd=None if price is None else hours * price,
    )
    if budget_usd is not None and forecast.price_usd is not None and forecast.price_usd > budget_usd:
        raise WorkloadError(
            f"The run would cost about {rounded(forecast.price_usd)} USD ({forecast.num_steps} steps, "
            f"{rounded(hours)} hours at {price:g} USD), above the budget of {budget_usd:g} USD; lower epochs or "
            "max_steps, or raise --budget-usd"
        )
    return forecast


def _state_bytes(config: TrainConfig, num_parameters: int, train: Split) -> int:
    """Return the bytes of images on the device, and of weights with gradient, optimizer state and average."""
    values = 2 + STATE_VALUES[config.optim.name] + (config.optim.ema_decay is not None)
    in_memory = isinstance(train.images, torch.Tensor)
    return values * FLOAT_BYTES * num_parameters + (train.images.numel() if in_memory else 0)


def _trainer(
    config: TrainConfig, spec: ModelSpec, train: Split, validation: Split, dataset: Dataset, device: torch.device
) -> Trainer:
    return Trainer(
        config,
        model=spec.build(config.seed),
        train=train,
        validation=validation,
        num_classes=len(dataset.class_names),
        device=device,
        ranks=Ranks(),
        on_epoch=lambda _: None,
    )


def _seconds_of_step(trainer: Trainer) -> float:
    """Measure the time of an optimizer step in seconds, after one that warms up."""
    trainer.module.train()
    last = min(TIMED_STEPS + 1, trainer.total_steps, trainer.steps_per_epoch)
    started, num_timed = time.perf_counter(), 0
    for images, targets, weight in trainer.train_loader.steps(0, 0, last):
        float(trainer.train_step(images, targets, weight))  # waits for the device
        if num_timed == 0 and last > 1:
            started = time.perf_counter()
        num_timed += 1
    return (time.perf_counter() - started) / max(1, num_timed - 1)

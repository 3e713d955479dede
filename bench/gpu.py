"""Step time, throughput and MFU of committed configs on this machine's GPU, on images of noise in CIFAR's shape.

    python -m bench.gpu [--configs cifar10 cifar10_resnet18] [--steps 100] [--device cuda]

The trainer's own steps are timed, after as many that warm up: forward, backward, optimizer, augmentation, without
evaluation. MFU is the share of the GPU's 16-bit products, by its data sheet; torch's count of FLOPs.
"""

from __future__ import annotations

import argparse
import time

import torch

from workloads.config import load_config
from workloads.data.dataset import Split
from workloads.evaluation.speed import machine
from workloads.models.build import ModelSpec
from workloads.ranks import Ranks
from workloads.training.devices import GIB, resolve_device, resolve_precision
from workloads.training.flops import measure_training, peak_flop_per_s
from workloads.training.trainer import Trainer

NUM_IMAGES, NUM_CLASSES, SHAPE = 50_000, 10, (3, 32, 32)


def measure(name: str, num_steps: int, device_name: str) -> str:
    """Measure a config and return its row of the table."""
    config = load_config(name, {"device": device_name})
    device = resolve_device(config.device, Ranks())
    noise = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (NUM_IMAGES, *SHAPE), dtype=torch.uint8, generator=noise)
    train = Split(images=images, labels=torch.randint(0, NUM_CLASSES, (NUM_IMAGES,), generator=noise))
    spec = ModelSpec.of(config.model, train, NUM_CLASSES)
    trainer = Trainer(
        config,
        model=spec.build(config.seed),
        train=train,
        validation=train.take(torch.arange(1000)),
        num_classes=NUM_CLASSES,
        device=device,
        ranks=Ranks(),
        on_epoch=lambda _: None,
    )
    trainer.module.train()
    num_steps = min(num_steps, trainer.steps_per_epoch)
    seconds, num_images = 0.0, 0
    for epoch in range(2):  # the first warms up
        started, num_images = time.perf_counter(), 0
        loss = torch.zeros(())
        for batch, targets, weight in trainer.train_loader.steps(epoch, 0, num_steps):
            loss = trainer.train_step(batch, targets, weight)
            num_images += len(targets)
        float(loss)  # waits for the device
        seconds = time.perf_counter() - started
    precision = resolve_precision(config.compute.precision, device)
    num_parameters, flops_per_image, _ = measure_training(spec, SHAPE, 1)
    flop_per_s = num_images * flops_per_image / seconds
    peak = peak_flop_per_s(device, precision)
    mfu = "-" if peak is None else f"{flop_per_s / peak:.1%}"
    memory = torch.cuda.max_memory_allocated(device) / GIB if device.type == "cuda" else float("nan")
    return (
        f"| {name} ({spec.name}, {num_parameters / 1e6:.1f} M) | {precision} | {config.global_batch_size} "
        f"| {1000 * seconds / num_steps:.2f} ms | {num_images / seconds:,.0f} | {flop_per_s / 1e12:.2f} | {mfu} "
        f"| {memory:.2f} GiB | {NUM_IMAGES / (num_images / seconds):.1f} s |"
    )


def main() -> None:
    """Print a row for each config."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", nargs="+", default=["cifar10", "cifar10_resnet18"])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    print(f"{machine()}\n")
    print("| config | precision | batch | a step | images/s | TFLOP/s | MFU | peak memory | an epoch of 50,000 |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in arguments.configs:
        print(measure(name, arguments.steps, arguments.device), flush=True)


if __name__ == "__main__":
    main()

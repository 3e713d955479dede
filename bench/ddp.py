"""Throughput of training on one and several ranks of this machine.

    python -m bench.ddp [--ranks 1,2,4] [--config fashion_mnist] [--train 12000] [--device auto]

Each number of ranks trains the same images in the same global batches for two epochs; the second is measured, and so is
an all-reduce of as many bytes as the gradients have. On CPU the ranks share the cores that one rank has alone: no
speed-up is to be expected there, and the numbers show the cost of communication.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import torch
import torch.distributed as dist

from workloads.config import load_config
from workloads.data.datasets import load
from workloads.environment import PlatformEnvironment
from workloads.evaluation.speed import machine
from workloads.models.classifier import num_parameters
from workloads.ranks import Ranks, process_group
from workloads.training.devices import resolve_device, set_threads
from workloads.training.run import train_model

NUM_REDUCTIONS = 20
MIB = 2**20
TIMEOUT_S = 600


def main() -> None:
    """Measure each number of ranks in processes of its own, and print a row for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", default="1,2,4")
    parser.add_argument("--config", default="fashion_mnist")
    parser.add_argument("--train", type=int, default=12_000, help="images")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    if "RANK" in os.environ:
        rank(arguments.config, arguments.train, arguments.device)
        return
    counts = [int(count) for count in arguments.ranks.split(",")]
    print(f"{machine()}, {arguments.config}, {arguments.train:,} images\n")
    print("| ranks | images/s | seconds an epoch | memory of all ranks | an all-reduce | speed-up |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    alone = None
    for count in counts:
        found = measured(count)
        alone = alone or found["images_per_second"] / count  # the first number of ranks is the base
        print(
            f"| {count} | {found['images_per_second']:,.0f} | {found['seconds']:.2f} | {found['memory_mib']:,.0f} MiB "
            f"| {found['all_reduce_ms']:.2f} ms | {found['images_per_second'] / alone:.2f} |",
            flush=True,
        )


def measured(num_ranks: int) -> dict[str, float]:
    """Return the measurements that rank 0 of `num_ranks` printed."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_ranks)]
    ended = subprocess.run(
        [*command, "-m", "bench.ddp", *sys.argv[1:]], stdout=subprocess.PIPE, text=True, check=True, timeout=TIMEOUT_S
    )
    found: dict[str, float] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found


def rank(config_name: str, num_train: int, device_name: str) -> None:
    """Train as one rank; the first prints a line of JSON."""
    ranks = Ranks.from_environment()
    config = load_config(config_name, {"epochs": 2, "data.num_train": num_train, "device": device_name})
    dataset = load(config.data.name, PlatformEnvironment.read(), image_size=config.data.image_size)
    device = resolve_device(config.device, ranks)
    set_threads(None, ranks)
    with process_group(ranks, device, config.timeout_s):
        trained = train_model(config, dataset, ranks, device, lambda _: None)
        peak = torch.tensor(memory_mib(device), device=device)
        all_reduce_ms = 0.0
        if ranks.world_size > 1:
            dist.all_reduce(peak)
            all_reduce_ms = reduction_ms(num_parameters(trained.module), device)
    if ranks.is_first:
        second = trained.reports[-1]
        found = {
            "images_per_second": second.images_per_second,
            "seconds": second.train_seconds,
            "memory_mib": float(peak),
            "all_reduce_ms": all_reduce_ms,
        }
        print(json.dumps(found), flush=True)


def reduction_ms(num_values: int, device: torch.device) -> float:
    """Return the median time of an all-reduce of `num_values` float32 values, in milliseconds."""
    values = torch.ones(num_values, device=device)
    times = []
    for _ in range(NUM_REDUCTIONS):
        started = time.perf_counter()
        dist.all_reduce(values)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
        values.fill_(1)
    return statistics.median(times) * 1000


def memory_mib(device: torch.device) -> float:
    """Return the peak memory of this rank in MiB: of the GPU, or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, on macOS bytes
    return most / (MIB if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()

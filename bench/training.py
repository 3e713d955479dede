"""Overhead of the trainer against a loop written by hand, and test accuracy of committed configs.

    python -m bench.training [epoch] [loading] [checkpoints] [--pairs 12] [--train 6000]
    python -m bench.training accuracy --config digits --seeds 0 1 2

`epoch`: an epoch of the trainer against a bare loop over the same network, images and order. `loading`: images indexed
and augmented in memory, a batch at a time, against torch's DataLoader with two workers, an image at a time: the same
transforms, no training. `checkpoints`: a run that saves a checkpoint after every epoch against one that saves none.
Both sides alternate in one process. One thread, unless --threads is given: on shared cores more wait for each other.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch import Tensor
from torch.utils import data

from bench.paired import paired_ratio
from workloads.checkpoints.checkpoints import Checkpoints
from workloads.checkpoints.store import FolderStore
from workloads.config import TrainConfig, load_config
from workloads.data.augmentation import Augmentation
from workloads.data.batches import batches
from workloads.data.dataset import Dataset, Split
from workloads.data.datasets import load
from workloads.data.flip_shift import SHIFT, FlipShift
from workloads.data.order import batch, num_batches, order
from workloads.environment import PlatformEnvironment
from workloads.evaluation.counts import evaluate
from workloads.evaluation.speed import machine
from workloads.models.build import ModelSpec
from workloads.ranks import Ranks
from workloads.training.run import train_model
from workloads.training.schedule import warmup_cosine

CPU = torch.device("cpu")


@dataclass
class Time:
    """The time of one turn."""

    seconds: float = 0
    """Wall-clock time, in seconds."""
    cpu_s: float = 0
    """CPU time, in seconds."""


@contextmanager
def timed() -> Iterator[Time]:
    found, started, cpu = Time(), time.perf_counter(), cpu_s()
    yield found
    found.seconds, found.cpu_s = time.perf_counter() - started, cpu_s() - cpu


def cpu_s() -> float:
    """Return the CPU time of this process and its living children, in seconds."""
    here = psutil.Process()
    return sum(sum(each.cpu_times()[:2]) for each in (here, *here.children()))


def compare(what: str, ours: Callable[[], Time], theirs: Callable[[], Time], pairs: int, *, inverse: bool) -> None:
    """Print a row: the ratio of the times, ours to theirs or (`inverse`) theirs to ours."""
    arms = (ours, theirs)
    for arm in arms:  # warm
        arm()
    measured: tuple[list[Time], list[Time]] = ([], [])
    for pair in range(pairs):
        for turn in range(2):  # the other is first each time
            at = (pair + turn) % 2
            measured[at].append(arms[at]())
    first, second = reversed(measured) if inverse else measured
    seconds = paired_ratio([one.seconds for one in first], [one.seconds for one in second])
    cpu = paired_ratio([one.cpu_s for one in first], [one.cpu_s for one in second])
    medians = [statistics.median(one.seconds for one in arm) for arm in measured]
    print(f"| {what} | {medians[0]:.3f} s | {medians[1]:.3f} s | {seconds} | {cpu} |")


def epoch(config: TrainConfig, dataset: Dataset, pairs: int) -> None:
    """Compare the trainer with a loop of a dozen lines."""
    split = Split(images=dataset.train.images, labels=dataset.train.labels)
    spec = ModelSpec.of(config.model, split, len(dataset.class_names))
    config = config.with_values({"data.validation_fraction": 1e-9, "epochs": 1, "data.augmentation": "none"})

    def ours() -> Time:
        with timed() as found:
            [report] = train_model(config, dataset, Ranks(), CPU, lambda _: None).reports
        return Time(seconds=report.train_seconds, cpu_s=found.cpu_s)

    def bare() -> Time:
        model = spec.build(0).to(memory_format=torch.channels_last).train()
        optim = config.optim
        optimizer = torch.optim.SGD(
            model.parameters(), optim.lr, optim.momentum, weight_decay=optim.weight_decay, nesterov=True, fused=True
        )
        num_samples, batch_size = len(split), config.global_batch_size
        total = num_batches(num_samples, batch_size)
        with timed() as found:
            order_n = order(0, 0, num_samples)
            for step in range(total):
                at = batch(order_n, step, batch_size)
                loss = torch.nn.functional.cross_entropy(model(split.images[at]), split.labels[at])
                optimizer.param_groups[0]["lr"] = optim.lr * warmup_cosine(step, total // 5, total)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
            loss.item()
        return found

    compare("an epoch, beside a bare loop", ours, bare, pairs, inverse=False)


class OneByOne(data.Dataset[tuple[Tensor, int]]):
    """A data set that flips and shifts its images one at a time."""

    def __init__(self, split: Split, flip_shift: FlipShift) -> None:
        self.split, self.flip_shift = split, flip_shift

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, at: int) -> tuple[Tensor, int]:
        image = self.split.images[at]
        image = image.flip(-1) if self.flip_shift.flips[at] else image
        padded = torch.nn.functional.pad(image, (SHIFT, SHIFT, SHIFT, SHIFT))
        row, column = int(self.flip_shift.rows[at]), int(self.flip_shift.columns[at])
        height, width = image.shape[-2:]
        return padded[:, row : row + height, column : column + width], int(self.split.labels[at])


def loading(config: TrainConfig, dataset: Dataset, pairs: int) -> None:
    """Compare batches in memory with a DataLoader."""
    split, batch_size = dataset.train, config.global_batch_size
    config = config.with_values({"data.augmentation": "flip_shift"})

    def ours() -> Time:
        with timed() as found:
            augmentation = Augmentation.draw(config.data, seed=0, epoch=0, num_samples=len(split), num_classes=10)
            samples = list(order(0, 0, len(split)).split(batch_size))
            for at, images, labels in batches(split, samples, CPU, 0):
                augmentation.apply(images, labels, at)
        return found

    one_by_one = OneByOne(split, FlipShift.draw(0, 0, len(split)))
    loader = data.DataLoader(one_by_one, batch_size, shuffle=True, num_workers=2, persistent_workers=True)

    def theirs() -> Time:
        with timed() as found:
            for _ in loader:
                pass
        return found

    compare(f"loading {len(split):,} images: times as fast as a DataLoader", ours, theirs, pairs, inverse=True)


def checkpoints(config: TrainConfig, dataset: Dataset, pairs: int) -> None:
    """Compare a checkpoint after every epoch with none."""
    config = config.with_values({"epochs": 3})

    def with_checkpoints() -> Time:
        with (
            tempfile.TemporaryDirectory() as folder,
            timed() as found,
            Checkpoints(FolderStore(Path(folder))) as saver,
        ):
            train_model(config, dataset, Ranks(), CPU, lambda _: None, saver=saver)
        return found

    def without() -> Time:
        with timed() as found:
            train_model(config, dataset, Ranks(), CPU, lambda _: None)
        return found

    compare("three epochs, with a checkpoint after each beside none", with_checkpoints, without, pairs, inverse=False)


def accuracy(config: TrainConfig, dataset: Dataset, seeds: list[int]) -> None:
    """Print the test accuracy of runs that differ in their seed; the test images are used once per run."""
    found = []
    for seed in seeds:
        with timed() as taken:
            trained = train_model(config.with_values({"seed": seed}), dataset, Ranks(), CPU, lambda _: None)
        found.append(evaluate(trained.module, dataset.test, num_classes=len(dataset.class_names)).accuracy)
        print(f"{config.name}, seed {seed}: test accuracy {found[-1]:.4f}, {taken.seconds:.0f} s", flush=True)
    print(f"mean {statistics.mean(found):.4f}, median {statistics.median(found):.4f}, from {min(found):.4f} to "
          f"{max(found):.4f}")  # fmt: skip


PARTS = {"epoch": epoch, "loading": loading, "checkpoints": checkpoints}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"{', '.join(PARTS)} (all by default), or accuracy")
    parser.add_argument("--config", default="fashion_mnist")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--train", type=int, default=6000, help="images of an epoch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = load_config(arguments.config, {"device": "cpu", "num_threads": arguments.threads})
    dataset = load(config.data.name, PlatformEnvironment.read())
    print(f"{machine()}, {config.name}, {arguments.threads} thread(s)")
    if "accuracy" in arguments.parts:
        accuracy(config, dataset, arguments.seeds)
        return
    small = Dataset(
        name=dataset.name,
        train=dataset.train.take(torch.arange(min(arguments.train, len(dataset.train)))),
        test=dataset.test.take(torch.arange(1000)),
        class_names=dataset.class_names,
    )
    print(f"\n{arguments.pairs} pairs, {len(small.train):,} images\n")
    print("| what | ours | the other | ratio of times | ratio of CPU times |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for part in arguments.parts or PARTS:
        PARTS[part](config, dataset if part == "loading" else small, arguments.pairs)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    print(f"\npeak memory of this process {peak_mib:,.0f} MiB")


if __name__ == "__main__":
    main()

"""Overhead of a search beyond its trials, and the epochs that early stopping saves.

    python -m bench.search cost [--pairs 5] [--epoch-s 0.5]
    python -m bench.search halving [--configs 64] [--epochs 16] [--curves /tmp/curves.json]

`cost`: trials that sleep, of one epoch, two at once. For each engine the slope of the time over 20 and 120 trials,
less that of the sleep, is the overhead of a trial; and longer trials run alternately by the engine and by Optuna's own
loop with as many threads. `halving`: configurations sampled from Fashion-MNIST's space are trained once in full on
10,000 images (hours on two cores; the curves are saved, and an interrupted run resumes); successive halving then
replays them in 20 random orders.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import optuna
import torch

from bench.paired import paired_ratio
from workloads.config import TrainConfig, load_config, read_config
from workloads.environment import PlatformEnvironment
from workloads.evaluation.speed import machine
from workloads.ray_cluster import connected_to_ray
from workloads.tuning import processes
from workloads.tuning.folder import SearchFolder
from workloads.tuning.halving import Halving
from workloads.tuning.processes import Objective
from workloads.tuning.samplers import TrialSampler
from workloads.tuning.study import Limits, Study
from workloads.tuning.trial import Job, Report, Training
from workloads.tuning.trials import EpochResult

SLOTS = 2
FEW, MANY = 20, 120
SLEEP_S = 0.1
"""Time that a trial sleeps whose overhead is measured, in seconds."""
NUM_LONG = 12
NUM_ORDERS = 20
FACTOR = 4
GOAL_MS, GOAL_RATIO, GOAL_SHARE, GOAL_LOSS = 50, 1.1, 0.25, 0.005


@dataclass(frozen=True)
class Sleeping:
    seconds: float

    def __call__(self, job: Job, report: Report) -> None:
        time.sleep(self.seconds)
        report(
            EpochResult(
                epoch=1,
                step=1,
                val_accuracy=float(str(job.params["optim.lr"])),
                val_loss=0.0,
                train_loss=0.0,
                seconds=self.seconds,
                ended_at=time.time(),
            )
        )


Run = Callable[[Study, Objective], None]


def with_processes(study: Study, objective: Objective) -> None:
    processes.run(study, objective, num_workers=SLOTS)


def with_ray(study: Study, objective: Objective) -> None:
    from workloads.tuning import on_ray

    on_ray.run(study, objective, resources={"CPU": 1}, num_workers=lambda: SLOTS)


def seconds_of(run: Run, num_trials: int, sleep_s: float) -> float:
    config = read_config({"epochs": 1, "search": {"space": {"optim.lr": {"uniform": [0.1, 0.9]}}}}, {}, source="bench")
    with tempfile.TemporaryDirectory() as folder:
        study = Study(
            config,
            num_trials=num_trials,
            sampler=TrialSampler(config.search.space, kind="random", seed=0),
            limits=Limits(),
            folder=SearchFolder.of(PlatformEnvironment(checkpoints=folder), "search"),
        )
        started = time.perf_counter()
        run(study, Sleeping(sleep_s))
        return time.perf_counter() - started


def seconds_of_optuna(num_trials: int, sleep_s: float) -> float:
    def objective(trial: optuna.Trial) -> float:
        time.sleep(sleep_s)
        return trial.suggest_float("optim.lr", 0.1, 0.9)

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    started = time.perf_counter()
    study.optimize(objective, n_trials=num_trials, n_jobs=SLOTS)
    return time.perf_counter() - started


def report_cost(name: str, run: Run, *, pairs: int, epoch_s: float) -> None:
    seconds_of(run, 2, 0.0)  # imports and first workers
    slopes = []
    for _ in range(pairs):
        few, many = seconds_of(run, FEW, SLEEP_S), seconds_of(run, MANY, SLEEP_S)
        slopes.append(1000 * ((many - few) / (MANY - FEW) - SLEEP_S / SLOTS))
    print(
        f"{name}: {statistics.median(slopes):.1f} ms a trial over a bare loop "
        f"({min(slopes):.1f} to {max(slopes):.1f} of {pairs}; goal {GOAL_MS})",
        flush=True,
    )
    ours, theirs = [], []
    for _ in range(pairs):
        start = seconds_of(run, SLOTS, epoch_s) - epoch_s
        ours.append(seconds_of(run, NUM_LONG, epoch_s) - start)
        theirs.append(seconds_of_optuna(NUM_LONG, epoch_s))
    print(
        f"{name}: {paired_ratio(ours, theirs)} of raw Optuna's time, {NUM_LONG} trials of {epoch_s:g} s "
        f"beside a start of {start:.1f} s (goal {GOAL_RATIO} at 5 s)",
        flush=True,
    )


def cost(given: argparse.Namespace) -> None:
    report_cost("processes", with_processes, pairs=given.pairs, epoch_s=given.epoch_s)
    with connected_to_ray(PlatformEnvironment.read(), num_cpus=SLOTS):
        report_cost("ray", with_ray, pairs=given.pairs, epoch_s=given.epoch_s)


def keep(curve: list[float], result: EpochResult) -> bool:
    curve.append(result.val_accuracy)
    return True


def curves_of(config: TrainConfig, num_configs: int, path: Path) -> list[list[float]]:
    """Return the validation accuracy of each configuration after each epoch."""
    kept: list[list[float]] = json.loads(path.read_text()) if path.exists() else []
    sampler = TrialSampler(config.search.space, kind="random", seed=config.seed)
    training = Training(config=config, num_threads=torch.get_num_threads())
    for number in range(num_configs):
        params = sampler.ask(number)
        if number < len(kept):
            continue
        kept.append([])
        training(Job(number=number, params=params, state_location=None), partial(keep, kept[-1]))
        path.write_text(json.dumps(kept))
        print(f"{number + 1}/{num_configs}: {params} {kept[-1][-1]:.4f}", flush=True)
    return kept[:num_configs]


def replayed(curves: list[list[float]], *, seed: int) -> tuple[float, float]:
    """Return the share of all epochs that are trained, and the accuracy lost, for trials in a random order."""
    num_epochs = len(curves[0])
    halving = Halving(num_epochs=num_epochs, grace=1, factor=FACTOR)
    epochs, best = 0, 0.0
    for curve in random.Random(seed).sample(curves, len(curves)):  # noqa: S311  no secret
        for epoch, value in enumerate(curve, 1):
            epochs += 1
            if not halving.should_continue(epoch, value):
                break
        best = max(best, curve[epoch - 1])
    return epochs / len(curves) / num_epochs, max(curve[-1] for curve in curves) - best


def halving(given: argparse.Namespace) -> None:
    config = load_config("fashion_mnist", {"epochs": given.epochs, "data.num_train": 10_000})
    curves = curves_of(config, given.configs, given.curves)
    shares, losses = zip(*(replayed(curves, seed=seed) for seed in range(NUM_ORDERS)), strict=True)
    print(f"{len(curves)} configurations of {given.epochs} epochs, {NUM_ORDERS} orders, factor {FACTOR}:")
    print(
        f"  epochs {statistics.mean(shares):.1%} of all ({min(shares):.1%} to {max(shares):.1%}; goal {GOAL_SHARE:.0%})"
    )
    spread = statistics.stdev(losses)
    print(
        f"  accuracy lost {100 * statistics.mean(losses):.2f} points (deviation {100 * spread:.2f}, at most "
        f"{100 * max(losses):.2f}; goal {100 * GOAL_LOSS:g})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    part = parts.add_parser("cost")
    part.add_argument("--pairs", type=int, default=5)
    part.add_argument("--epoch-s", type=float, default=0.5)
    part.set_defaults(run=cost)
    part = parts.add_parser("halving")
    part.add_argument("--configs", type=int, default=64)
    part.add_argument("--epochs", type=int, default=16)
    part.add_argument("--curves", type=Path, default=Path(tempfile.gettempdir()) / "search-curves.json")
    part.set_defaults(run=halving)
    given = parser.parse_args()
    print(machine())
    given.run(given)


if __name__ == "__main__":
    main()

"""One trial, as a Ray worker runs it: a fresh training with the parameters it was given, reported after each epoch.

Imported by Ray workers, which are used for many trials: nothing of a trial outlives its call but the loaded data set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import torch

from workloads.config import TrainConfig
from workloads.data.datasets import Dataset, load
from workloads.environment import PlatformEnvironment
from workloads.registry.versions import VALIDATION_ACCURACY
from workloads.training.ranks import Ranks
from workloads.training.record import TRAIN_LOSS
from workloads.training.reports import EpochReport
from workloads.training.run import train_model

EPOCH, STEP = "epoch", "step"


def run_trial(params: Mapping[str, object], config: TrainConfig) -> None:
    """Train `config` with dotted `params` put over it; errors are let out, and fail this trial alone."""
    from ray import tune

    report: Callable[[dict[str, float]], None] = tune.report

    def on_epoch(epoch: EpochReport) -> None:
        report(
            {
                VALIDATION_ACCURACY: epoch.validation.accuracy,
                "val/loss": epoch.validation.loss,
                TRAIN_LOSS: epoch.train_loss,
                EPOCH: epoch.epoch,
                STEP: epoch.step,
            }
        )

    torch.set_num_threads(1)
    trial = config.with_values(params)
    train_model(trial, _dataset(trial.data.name, trial.data.image_size), Ranks(), torch.device("cpu"), on_epoch)


@lru_cache(maxsize=1)
def _dataset(name: str, image_size: int) -> Dataset:
    return load(name, PlatformEnvironment.read(), image_size=image_size)

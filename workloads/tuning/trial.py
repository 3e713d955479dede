"""One trial, as a worker runs it: a training with the sampled parameters, reported after each epoch.

Workers run many trials: nothing of a trial outlives its call but the loaded data set and the process group.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
import torch.distributed as dist

from workloads.checkpoints.checkpoints import Checkpoints
from workloads.checkpoints.store import open_store
from workloads.config import DataConfig, TrainConfig
from workloads.data.dataset import Dataset
from workloads.data.datasets import load
from workloads.environment import PlatformEnvironment
from workloads.ranks import Ranks, detect_lost_ranks, join_process_group
from workloads.training.devices import resolve_device
from workloads.training.reports import EpochReport
from workloads.training.run import check_ranks, train_model
from workloads.tuning.trials import EpochResult

Report = Callable[[EpochResult], bool]
"""A function that takes an epoch's result and returns whether the trial continues."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A trial to run."""

    number: int
    params: Mapping[str, object]
    state_location: str | None
    """Location where its state is saved after each epoch, and found if it ran before; None to save none."""
    ranks: Ranks = field(default_factory=Ranks)


@dataclass(frozen=True, kw_only=True)
class Training:
    """The objective of a search on this config."""

    config: TrainConfig
    num_threads: int
    """CPU threads of a trial, unless its config sets them."""

    def __call__(self, job: Job, report: Report) -> None:
        """Train to the last epoch, or until `report` returns false; an exception fails this trial alone.

        Of several ranks, each of which is called, the first reports. Raises RankLost where another of them is gone.
        """
        with detect_lost_ranks(job.ranks):
            self._train(job, report)

    def _train(self, job: Job, report: Report) -> None:
        config, ranks = self.config.with_values(job.params), job.ranks
        check_ranks(config, ranks.world_size)
        device = resolve_device(config.device, ranks)
        torch.set_num_threads(config.num_threads or self.num_threads)
        dataset = dataset_of(config.data)

        def on_epoch(epoch: EpochReport) -> None:
            goes_on = report(_result(epoch)) if ranks.is_first else True
            if not _all_ranks(goes_on, ranks, device):
                raise _TrialStopped

        if ranks.world_size > 1 and not dist.is_initialized():
            # Once per worker: with a new process group per trial, a rank sometimes waited for one that had left.
            join_process_group(ranks, device, config.timeout_s)
        try:
            if job.state_location is None:
                train_model(config, dataset, ranks, device, on_epoch)
                return
            store = open_store(job.state_location)
            state = Checkpoints(store).newest()
            if state is not None and ranks.is_first:
                for earlier in state["reports"]:
                    report(_repeated_result(earlier, ended_at=state["time"]))
            with Checkpoints(store, keep_last=1) as checkpoints:
                saver = _NewestSaver(checkpoints) if ranks.is_first else None
                train_model(config, dataset, ranks, device, on_epoch, saver=saver, state=state)
        except _TrialStopped:
            return


def _all_ranks(says: bool, ranks: Ranks, device: torch.device) -> bool:
    """Return whether `says` is true on all ranks; a collective."""
    if ranks.world_size == 1:
        return says
    all_say = torch.tensor(int(says), device=device)
    dist.all_reduce(all_say, dist.ReduceOp.MIN)
    return bool(all_say)


class _TrialStopped(Exception):  # noqa: N818  reads as what happened
    """Stops the trial."""


class _NewestSaver:
    """A saver that drops scores, so that only the newest state is kept: the best one of a trial is never read."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints

    def save(self, step: int, state: Mapping[str, Any], *, score: float | None = None) -> None:  # noqa: ARG002  a Saver's
        """Save the state without its score."""
        self.checkpoints.save(step, state)


def _result(epoch: EpochReport) -> EpochResult:
    return EpochResult(
        epoch=epoch.epoch,
        step=epoch.step,
        val_accuracy=epoch.validation.accuracy,
        val_loss=epoch.validation.loss,
        train_loss=epoch.train_loss,
        seconds=epoch.seconds,
        ended_at=time.time(),
    )


def _repeated_result(report: Mapping[str, Any], *, ended_at: float) -> EpochResult:
    """Return the result of a report in a trainer's state that was complete at `ended_at`."""
    return EpochResult(
        epoch=report["epoch"],
        step=report["step"],
        val_accuracy=report["validation"]["accuracy"],
        val_loss=report["validation"]["loss"],
        train_loss=report["train_loss"],
        seconds=report["seconds"],
        ended_at=ended_at,
        is_told_again=True,
    )


@lru_cache(maxsize=1)
def dataset_of(data: DataConfig) -> Dataset:
    """Load the data set that `data` names, once per process."""
    return load(data.name, PlatformEnvironment.read(), image_size=data.image_size)

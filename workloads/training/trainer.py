"""The training loop.

Shapes: r ranks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from hashlib import blake2b
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from workloads.checkpoints.checkpoints import copy_to_cpu
from workloads.config import TrainConfig
from workloads.data.dataset import Split
from workloads.errors import CheckpointError, Preempted, TrainingDiverged
from workloads.evaluation.counts import Evaluation, evaluate
from workloads.ranks import Ranks
from workloads.training.devices import resolve_precision
from workloads.training.distributed import DistributedModel
from workloads.training.gradients import Gradients
from workloads.training.optimization import Optimization
from workloads.training.reports import EpochReport, Saver, StepReport
from workloads.training.train_loader import TrainLoader

CHECK_EVERY_STEPS = 50
CHECK_EVERY_S = 1.0
"""Longest interval, in steps and in seconds, at which the ranks synchronize whether the loss is finite and any is to
stop: each time the host waits for the device."""
NEVER = 2**31 - 1


class Trainer:
    """Trains `model` on `train` and evaluates it on `validation` after each epoch, in step with the other ranks.

    `on_epoch` is called with every epoch's report and `on_step` with those of some steps, the last of each epoch among
    them; on every rank. The model must hold the same weights on all ranks. Every random number is a function of seed,
    epoch or step, and sample or rank, so that the state is the weights, the optimizer and a few sums. `saver` saves it
    after every `checkpoint.every_steps` and every epoch; when `stop` is true on any rank, all stop after the same step.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        model: nn.Module,
        train: Split,
        validation: Split,
        num_classes: int,
        device: torch.device,
        ranks: Ranks,
        on_epoch: Callable[[EpochReport], None],
        on_step: Callable[[StepReport], None] | None = None,
        saver: Saver | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.config, self.ranks, self.device = config, ranks, device
        self.on_epoch, self.on_step, self.saver, self.stop = on_epoch, on_step, saver, stop
        self.num_classes, self.validation = num_classes, validation
        self.train_loader = TrainLoader(config, train, num_classes=num_classes, device=device, ranks=ranks)
        self.steps_per_epoch = self.train_loader.steps_per_epoch
        self.total_steps = min(config.max_steps or NEVER, config.epochs * self.steps_per_epoch)
        self.module = model.to(device)
        if config.compute.channels_last:
            self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        precision = resolve_precision(config.compute.precision, device)
        self.optimization = Optimization(
            config, self.module, total_steps=self.total_steps, device=device, precision=precision
        )
        if config.compute.compile:
            self.module.compile()
        self.distributed = DistributedModel(self.module, config.distributed, device) if ranks.world_size > 1 else None
        self.gradients = Gradients(
            self.distributed.model if self.distributed else self.module,
            device=device,
            precision=precision,
            scaler=self.optimization.scaler,
            label_smoothing=config.optim.label_smoothing,
            micro_batch_size=config.compute.micro_batch_size,
        )
        self.step = 0
        self.reports: list[EpochReport] = []
        self.best: dict[str, Tensor] = {}
        """Weights of the best epoch, where early stopping is on."""
        # Apple's GPUs have no float64.
        self.loss_sum = torch.zeros((), dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
        """Summed loss of this rank in the current epoch, []."""
        self.train_seconds = self.seconds = 0.0
        """Time of the current epoch in earlier processes, in seconds; this process's counts from `began_at`."""
        self.began_at: float | None = None
        self.first_bad_step = torch.full((), NEVER, device=device)
        self.next_check = 1
        self.checked_at = (0, time.perf_counter())

    def fit(self) -> list[EpochReport]:
        """Train to the last step and return all epochs' reports; raise TrainingDiverged or Preempted on all ranks."""
        if self.distributed and self.is_unfinished:
            self.warm_up(self.distributed)
        while self.is_unfinished:
            self.began_at = time.perf_counter()
            self.train_epoch()
            self.train_seconds += self.elapsed_s
            validation = self.evaluate(self.validation)
            self.seconds += self.elapsed_s
            self.began_at = None
            self.end_epoch(validation)
        if self.best:
            self.evaluated_module.load_state_dict(self.best)
        self.evaluated_module.eval()
        return self.reports

    @property
    def sync_device(self) -> torch.device:
        """Device of the all-reduces among ranks; for one rank the CPU, where the values are read."""
        return self.device if self.ranks.world_size > 1 else torch.device("cpu")

    @property
    def elapsed_s(self) -> float:
        """Seconds of the current epoch in this process; 0 between epochs."""
        return time.perf_counter() - self.began_at if self.began_at is not None else 0.0

    @property
    def is_unfinished(self) -> bool:
        """Whether there is a step left, or an epoch to report."""
        if self.step > self.epoch_start:
            return True
        patience = self.config.optim.patience_epochs
        has_stalled = patience is not None and self.epoch > self.best_report_index + patience
        return self.step < self.total_steps and not has_stalled

    @property
    def evaluated_module(self) -> nn.Module:
        """The module that is evaluated and registered: the averaged weights if there are such."""
        return self.optimization.average.module if self.optimization.average else self.module

    @property
    def result(self) -> EpochReport:
        """Report of the epoch whose weights `evaluated_module` has after the last step."""
        return self.reports[self.best_report_index if self.best else -1]

    @property
    def best_report_index(self) -> int:
        """Position in `reports` of the highest validation accuracy; the first of equals, 0 without reports."""
        return max(range(self.epoch), key=lambda at: (self.reports[at].validation.accuracy, -at), default=0)

    @property
    def epoch(self) -> int:
        """The current epoch, 0-based."""
        return len(self.reports)

    @property
    def epoch_start(self) -> int:
        """Optimizer steps before the current epoch."""
        return self.epoch * self.steps_per_epoch

    def warm_up(self, model: DistributedModel) -> None:
        """Run two warm-up steps whose effects are undone.

        In one DDP orders its buckets for good, so that a step is summed alike in a run that was resumed and in one that
        was not; the other finds out which micro-batch fits the memory, while no rank waits for another.
        """
        self.module.train()
        [(images, targets, weight)] = self.train_loader.steps(self.epoch, 0, 1)  # the first batch is of full size
        model.is_warm_up = True
        self.gradients.backward(images[:2], targets[:2], weight=weight, seed=0)
        self.gradients.restore_buffers()
        model.is_warm_up = False
        self.gradients.backward(images, targets, weight=weight, seed=0, sync=False)
        self.gradients.restore_buffers()
        self.gradients.clear()
        size = torch.tensor(self.gradients.micro_batch_size or NEVER, device=self.device)
        dist.all_reduce(size, dist.ReduceOp.MIN)
        self.gradients.micro_batch_size = int(size) if int(size) < NEVER else None

    def train_epoch(self) -> None:
        """Train to the end of the current epoch, or of the run."""
        self.module.train()
        end = min(self.epoch_start + self.steps_per_epoch, self.total_steps)
        first, end_of_epoch = self.step - self.epoch_start, end - self.epoch_start
        for images, targets, weight in self.train_loader.steps(self.epoch, first, end_of_epoch):
            loss = self.train_step(images, targets, weight)
            self.loss_sum += loss
            is_last = self.step == end
            if self.step >= self.next_check or is_last:
                if self.on_step:
                    self.on_step(self.step_report(loss, len(targets)))
                self.check()
            every = self.config.checkpoint.every_steps
            if every and self.step % every == 0 and not is_last:
                self.save()

    def train_step(self, images: Tensor, targets: Tensor, weight: float) -> Tensor:
        """Take one optimizer step and return the summed loss of this rank's share of the batch, float32 [].

        `images` are uint8 [B, C, H, W], or float32 after MixUp; `targets` are int64 [B], or float32 [B, classes]; both
        are on the device. `weight` is the factor of the summed loss that `TrainLoader.steps` yields, 0 for a rank
        without a share.
        """
        seed = step_seed(self.config.seed, self.step, self.ranks.rank)  # for dropout
        loss = self.gradients.backward(images, targets, weight=weight, seed=seed) * (weight > 0)
        self.optimization.step(self.step)
        bad = torch.where(loss.isfinite(), NEVER, self.step)
        self.first_bad_step = torch.minimum(self.first_bad_step, bad)
        self.step += 1
        return loss

    def end_epoch(self, validation: Evaluation) -> None:
        """Report the epoch, begin the next, and save."""
        loss_sum = float(sum(self.loss_sums()))
        num_images = self.train_loader.images_at(self.step) - self.train_loader.images_at(self.epoch_start)
        report = EpochReport(
            epoch=self.epoch + 1,
            num_epochs=math.ceil(self.total_steps / self.steps_per_epoch),
            step=self.step,
            lr=self.lr_at(self.epoch_start),
            train_loss=loss_sum / num_images,
            validation=validation,
            num_images=num_images,
            train_seconds=self.train_seconds,
            seconds=self.seconds,
        )
        self.reports.append(report)
        if self.config.optim.patience_epochs is not None and self.best_report_index == self.epoch - 1:
            self.best = copy_to_cpu(self.evaluated_module.state_dict())
        self.loss_sum.zero_()
        self.train_seconds = self.seconds = 0.0
        self.on_epoch(report)
        self.save(score=validation.accuracy)

    def save(self, *, score: float | None = None) -> None:
        """Save the state; raise TrainingDiverged rather than save weights that are not finite.

        A collective: every rank must call it.
        """
        state = self.state()
        is_finite = get_total_norm(list(self.module.parameters())).isfinite()
        self.first_bad_step = torch.minimum(self.first_bad_step, torch.where(is_finite, NEVER, self.step - 1))
        self.raise_if_diverged()
        if self.saver:
            self.saver.save(self.step, state, score=score)

    def state(self) -> dict[str, Any]:
        """Return all state that the next step depends on, in plain values and tensors, the same on every rank.

        A collective: every rank must call it.
        """
        return {
            "step": self.step,
            "time": time.time(),  # of this rank
            "model": self.module.state_dict(),
            **self.optimization.state_dict(),
            "exchange": self.distributed.state() if self.distributed else None,
            "micro_batch_size": self.gradients.micro_batch_size,
            "best": self.best,
            "loss_sums": self.loss_sums(),
            "train_seconds": self.train_seconds + self.elapsed_s,
            "seconds": self.seconds + self.elapsed_s,
            "reports": [asdict(report) for report in self.reports],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state` returned, of any number of ranks; raise CheckpointError if it does not fit."""
        try:
            self.module.load_state_dict(state["model"])
            self.optimization.load_state_dict(state)
            self.gradients.micro_batch_size, self.best = state["micro_batch_size"], state["best"]
            if self.distributed:
                self.distributed.restore(state["exchange"], self.device)
        except (RuntimeError, ValueError, KeyError) as error:
            first_line = " ".join(str(error).split())[:300]
            raise CheckpointError(f"The checkpoint is not of this config's model: {first_line}") from error
        self.step = self.next_check = state["step"]
        self.next_check += 1
        self.checked_at = (self.step, time.perf_counter())
        self.reports = [
            EpochReport(**report | {"validation": Evaluation(**report["validation"])}) for report in state["reports"]
        ]
        sums = state["loss_sums"]
        if len(sums) != self.ranks.world_size:
            sums = [sum(sums)] + [0.0] * (self.ranks.world_size - 1)
        self.loss_sum.fill_(sums[self.ranks.rank])
        self.train_seconds, self.seconds = state["train_seconds"], state["seconds"]

    def loss_sums(self) -> list[float]:
        """Return the summed loss of the epoch so far, of each rank; a collective."""
        sums_r = torch.zeros(self.ranks.world_size, dtype=torch.float64, device=self.sync_device)
        sums_r[self.ranks.rank] = self.loss_sum.to(self.sync_device)
        if self.ranks.world_size > 1:
            dist.all_reduce(sums_r)
        return [float(value) for value in sums_r]

    def lr_at(self, step: int) -> float:
        """Return the learning rate of an optimizer step (0-based)."""
        return self.optimization.lr_at(step)

    def step_report(self, loss: Tensor, num_images: int) -> StepReport:
        """Return the report of the last step, on `num_images` images of this rank with the summed loss `loss`, []."""
        return StepReport(
            step=self.step,
            num_steps=self.total_steps,
            lr=self.lr_at(self.step - 1),
            loss=float(loss) / num_images,
            num_images=self.train_loader.images_at(self.step),
        )

    def check(self) -> None:
        """Raise, on all ranks, TrainingDiverged if the loss of any was not finite, or Preempted if any is to stop.

        The state is saved before Preempted. Also schedules the next check, the same on all ranks.
        """
        step, then = self.checked_at
        pace_s = (time.perf_counter() - then) / max(1, self.step - step)
        stops, slowest_s = self.raise_if_diverged(float(self.stop()), pace_s)
        if stops:
            self.save()
            raise Preempted(f"The run was asked to stop and did so after step {self.step} of {self.total_steps}")
        self.next_check = self.step + max(1, min(CHECK_EVERY_STEPS, int(CHECK_EVERY_S / max(slowest_s, 1e-9))))
        self.checked_at = (self.step, time.perf_counter())

    def raise_if_diverged(self, *values: float) -> list[float]:
        """Raise TrainingDiverged, on all ranks, if the loss of any was not finite.

        Returns the maximum of each of `values` over the ranks.
        """
        reduced = torch.tensor([0.0, *(-value for value in values)], dtype=torch.float64)
        reduced[0] = self.first_bad_step
        reduced = reduced.to(self.sync_device)
        if self.ranks.world_size > 1:
            dist.all_reduce(reduced, dist.ReduceOp.MIN)
        bad_step = int(reduced[0])
        if bad_step != NEVER:
            raise TrainingDiverged(
                f"Loss or weights are not finite at step {bad_step + 1} of {self.total_steps}, learning rate "
                f"{self.lr_at(bad_step):g}; lower optim.lr ({self.config.optim.lr:g}) or raise optim.warmup_fraction"
            )
        return [-float(value) for value in reduced[1:]]

    def evaluate(self, split: Split) -> Evaluation:
        """Evaluate the model on `split`, each rank on its share."""
        if self.ranks.world_size > 1:  # BatchNorm's statistics differ by rank; the model has rank 0's
            for buffer in dict.fromkeys([*self.module.buffers(), *self.evaluated_module.buffers()]):
                dist.broadcast(buffer, src=0)
        self.evaluated_module.eval()
        return evaluate(
            self.evaluated_module, split, num_classes=self.num_classes, device=self.device, ranks=self.ranks
        )


def step_seed(seed: int, step: int, rank: int) -> int:
    """Return a 32-bit seed, as torch's CPU generator takes, hashed so that neighbours in any argument differ."""
    return int.from_bytes(blake2b(f"{seed} {step} {rank}".encode(), digest_size=4).digest(), "big")

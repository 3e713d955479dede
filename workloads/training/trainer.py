"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import get_total_norm

from workloads.config import TrainConfig
from workloads.data.augmentation import FlipShift
from workloads.data.datasets import Split
from workloads.data.order import batch, num_batches, order, share
from workloads.errors import CheckpointError, Preempted, TrainingDiverged
from workloads.training.evaluation import Evaluation, evaluate
from workloads.training.ranks import Ranks
from workloads.training.schedule import warmup_cosine

CHECK_EVERY_STEPS = 50
CHECK_EVERY_S = 1.0
"""How often, whichever comes first, the ranks ask each other whether the loss is finite and nobody is to stop: each
time the host waits for the device."""
NEVER = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What the host reads of a step when it looks whether the loss is finite, and waits for the device anyway."""

    step: int
    """Optimizer steps so far."""
    lr: float
    loss: float
    """Mean over this rank's share of the batch; not finite when training has diverged."""
    num_images: int
    """Images trained on since the start, over all ranks."""


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """What one epoch gave; the same on every rank."""

    epoch: int
    """1-based, of `num_epochs`."""
    num_epochs: int
    step: int
    """Optimizer steps so far."""
    lr: float
    train_loss: float
    validation: Evaluation
    num_images: int
    """Images trained on, over all ranks."""
    train_seconds: float
    seconds: float
    """Evaluation included."""

    @property
    def images_per_second(self) -> float:
        """Over all ranks, while training."""
        return self.num_images / self.train_seconds


class Saver(Protocol):
    """Keeps the state of a run."""

    def save(self, step: int, state: Mapping[str, Any], *, score: float | None = None) -> None:
        """Keep what `Trainer.state` gave after `step`; `score` is the validation accuracy of an epoch's end."""


class Trainer:
    """Trains `model` on `train` and evaluates it on `validation` after each epoch, in step with the other ranks.

    `on_epoch` is told of every epoch and `on_step` of some steps, the last of each epoch among them; on every rank. The
    model must hold the same weights on all ranks. Every random draw is a function of seed, epoch or step, and sample or
    rank, so that the state is the weights, the optimizer and a few sums. `saver` keeps it after every
    `checkpoint.every_steps` and every epoch; when `stop` is true on any rank, all end after the same step.
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
        self.images, self.labels = train.images.to(device), train.labels.to(device)
        self.module = model.to(device)
        self.model = self.module if ranks.world_size == 1 else _distributed(self.module, device)
        optim = config.optim
        self.optimizer = torch.optim.SGD(
            self.module.parameters(),
            lr=optim.lr,
            momentum=optim.momentum,
            nesterov=optim.momentum > 0,
            weight_decay=optim.weight_decay,
        )
        self.steps_per_epoch = num_batches(len(train), config.global_batch_size)
        self.total_steps = min(config.max_steps or NEVER, config.epochs * self.steps_per_epoch)
        self.warmup_steps = min(int(optim.warmup_fraction * self.total_steps), self.total_steps - 1)
        self.step = 0
        self.reports: list[EpochReport] = []
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        """Of this rank, in the epoch so far."""
        self.train_seconds = self.seconds = 0.0
        """Of the epoch so far, of runs that were ended too."""
        self.first_bad_step = torch.full((), NEVER, device=device)
        self.next_check = 1
        self.checked_at = (0, time.perf_counter())

    def fit(self) -> list[EpochReport]:
        """Train to the last step; the report of every epoch. Raises TrainingDiverged or Preempted, on all ranks."""
        while self.step < self.total_steps or self.step > self.epoch_start:
            started = time.perf_counter()
            self.train_epoch()
            self.train_seconds += time.perf_counter() - started
            validation = self.evaluate(self.validation)
            self.seconds += time.perf_counter() - started
            self.end_epoch(validation)
        return self.reports

    @property
    def epoch(self) -> int:
        """The epoch that is trained, 0-based."""
        return len(self.reports)

    @property
    def epoch_start(self) -> int:
        """Optimizer steps before it."""
        return self.epoch * self.steps_per_epoch

    def train_epoch(self) -> None:
        """What is left of a pass over the training images, or of the run."""
        self.model.train()
        seed, num_samples, batch_size = self.config.seed, len(self.labels), self.config.global_batch_size
        order_n = order(seed, self.epoch, num_samples).to(self.device)
        draws = None
        if self.config.data.augmentation == "flip_shift":
            draws = FlipShift.draw(seed, self.epoch, num_samples)
        end = min(self.epoch_start + self.steps_per_epoch, self.total_steps)
        while self.step < end:
            batch_b = batch(order_n, self.step - self.epoch_start, batch_size)
            loss = self.train_step(batch_b, draws)
            self.loss_sum += loss
            is_last = self.step == end
            if self.step >= self.next_check or is_last:
                if self.on_step:
                    self.on_step(self.report_of(loss, batch_b))
                self.check()
            every = self.config.checkpoint.every_steps
            if every and self.step % every == 0 and not is_last:
                self.save()

    def train_step(self, batch_b: Tensor, draws: FlipShift | None) -> Tensor:
        """One optimizer step on a global batch; the summed loss of this rank's share of it."""
        torch.manual_seed(step_seed(self.config.seed, self.step, self.ranks.rank))  # for dropout
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr_at(self.step)
        mine = share(batch_b, self.ranks.rank, self.ranks.world_size)
        samples = mine if len(mine) else batch_b[:1]  # a rank without a share joins the collectives with weight 0
        images = draws.apply(self.images, samples) if draws else self.images[samples]
        smoothing = self.config.optim.label_smoothing
        loss = cross_entropy(self.model(images), self.labels[samples], reduction="sum", label_smoothing=smoothing)
        loss = loss * (len(mine) > 0)
        # DDP averages gradients over ranks: with this factor the average is the gradient of the global mean loss.
        self.optimizer.zero_grad(set_to_none=True)
        (loss * (self.ranks.world_size / len(batch_b))).backward()  # type: ignore[no-untyped-call]  # torch's own gap
        self.optimizer.step()
        bad = torch.where(loss.detach().isfinite(), NEVER, self.step)
        self.first_bad_step = torch.minimum(self.first_bad_step, bad)
        self.step += 1
        return loss.detach()

    def end_epoch(self, validation: Evaluation) -> None:
        """Report the epoch, begin the next, and save."""
        loss_sum = float(sum(self.loss_sums()))
        num_images = self.images_at(self.step) - self.images_at(self.epoch_start)
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
        self.loss_sum.zero_()
        self.train_seconds = self.seconds = 0.0
        self.on_epoch(report)
        self.save(score=validation.accuracy)

    def save(self, *, score: float | None = None) -> None:
        """Have the state kept. Every rank must call it; raises TrainingDiverged rather than keep one that is lost."""
        state = self.state()
        is_finite = get_total_norm(list(self.module.parameters())).isfinite()
        self.first_bad_step = torch.minimum(self.first_bad_step, torch.where(is_finite, NEVER, self.step - 1))
        self.raise_if_diverged()
        if self.saver:
            self.saver.save(self.step, state, score=score)

    def state(self) -> dict[str, Any]:
        """All that the next step depends on, in plain values and tensors, the same on every rank; each must call it."""
        return {
            "step": self.step,
            "model": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "loss_sums": self.loss_sums(),
            "train_seconds": self.train_seconds,
            "seconds": self.seconds,
            "reports": [asdict(report) for report in self.reports],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave, with as many ranks or others; raises CheckpointError if it does not fit."""
        try:
            self.module.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
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
        """The summed loss of the epoch so far, of each rank."""
        sums_r = torch.zeros(self.ranks.world_size, dtype=torch.float64, device=self.device)
        sums_r[self.ranks.rank] = self.loss_sum
        if self.ranks.world_size > 1:
            dist.all_reduce(sums_r)
        return [float(value) for value in sums_r]

    def images_at(self, step: int) -> int:
        """Images trained on in the first `step` optimizer steps, over all ranks."""
        epochs, steps = divmod(step, self.steps_per_epoch)
        num_train = len(self.labels)
        return epochs * num_train + min(steps * self.config.global_batch_size, num_train)

    def lr_at(self, step: int) -> float:
        """The learning rate of an optimizer step (0-based)."""
        factor = warmup_cosine(step, warmup_steps=self.warmup_steps, total_steps=self.total_steps)
        return self.config.optim.lr * factor

    def report_of(self, loss: Tensor, batch_b: Tensor) -> StepReport:
        """The report of the step just done on `batch_b`, whose loss, summed over this rank's share, is `loss`."""
        num_mine = len(share(batch_b, self.ranks.rank, self.ranks.world_size))
        return StepReport(
            step=self.step,
            lr=self.lr_at(self.step - 1),
            loss=float(loss) / max(1, num_mine),
            num_images=self.images_at(self.step),
        )

    def check(self) -> None:
        """Raise, on all ranks, TrainingDiverged if the loss of any was not finite, or Preempted if any is to stop.

        Then the state is kept first. Also sets when to look again, the same on all ranks.
        """
        step, then = self.checked_at
        pace_s = (time.perf_counter() - then) / max(1, self.step - step)
        stops, slowest_s = self.raise_if_diverged(float(self.stop()), pace_s)
        if stops:
            self.save()
            raise Preempted(f"The run was asked to end and did so after step {self.step} of {self.total_steps}")
        self.next_check = self.step + max(1, min(CHECK_EVERY_STEPS, int(CHECK_EVERY_S / max(slowest_s, 1e-9))))
        self.checked_at = (self.step, time.perf_counter())

    def raise_if_diverged(self, *values: float) -> list[float]:
        """Raise TrainingDiverged, on all ranks, if the loss of any was not finite; else the largest of each value."""
        told = torch.tensor([0.0, *(-value for value in values)], dtype=torch.float64, device=self.device)
        told[0] = self.first_bad_step
        if self.ranks.world_size > 1:
            dist.all_reduce(told, dist.ReduceOp.MIN)
        bad_step = int(told[0])
        if bad_step != NEVER:
            raise TrainingDiverged(
                f"Loss or weights are not finite at step {bad_step + 1} of {self.total_steps}, learning rate "
                f"{self.lr_at(bad_step):g}; lower optim.lr ({self.config.optim.lr:g}) or raise optim.warmup_fraction"
            )
        return [-float(value) for value in told[1:]]

    def evaluate(self, split: Split) -> Evaluation:
        """How well the model does on `split`, every rank looking at its share of it."""
        if self.ranks.world_size > 1:  # BatchNorm keeps statistics of its rank's images: rank 0's are the model's
            for buffer in self.module.buffers():
                dist.broadcast(buffer, src=0)
        self.module.eval()
        return evaluate(self.module, split, num_classes=self.num_classes, device=self.device, ranks=self.ranks)


def step_seed(seed: int, step: int, rank: int) -> int:
    """32 bits, which is what torch's CPU generator takes, that differ between neighbours in any of the three."""
    return int.from_bytes(blake2b(f"{seed} {step} {rank}".encode(), digest_size=4).digest(), "big")


def _distributed(module: nn.Module, device: torch.device) -> nn.Module:
    return DistributedDataParallel(
        module,
        device_ids=[device.index] if device.type == "cuda" else None,
        forward_sync_buffers=False,  # done before each evaluation
        gradient_as_bucket_view=True,
    )

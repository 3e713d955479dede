"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from workloads.config import TrainConfig
from workloads.data.augmentation import FlipShift
from workloads.data.datasets import Split
from workloads.data.order import batch, num_batches, order, share
from workloads.errors import TrainingDiverged
from workloads.training.evaluation import Evaluation, evaluate
from workloads.training.ranks import Ranks
from workloads.training.schedule import warmup_cosine

CHECK_EVERY_STEPS = 50
"""How often the host looks whether the loss is finite: each look waits for the device."""
NEVER = 2**31 - 1


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


class Trainer:
    """Trains `model` on `train` and evaluates it on `validation` after each epoch, in step with the other ranks.

    `on_epoch` is told of every epoch, on every rank. The model must hold the same weights on all ranks.
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
    ) -> None:
        self.config, self.ranks, self.device, self.on_epoch = config, ranks, device, on_epoch
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
        self.first_bad_step = torch.full((), NEVER, device=device)

    def fit(self) -> list[EpochReport]:
        """Train to the last step; the report of every epoch. Raises TrainingDiverged on all ranks."""
        torch.manual_seed(self.config.seed + self.ranks.rank)  # dropout differs between ranks
        reports: list[EpochReport] = []
        while self.step < self.total_steps:
            started = time.perf_counter()
            first_step = self.step
            train_loss, num_images = self.train_epoch(epoch=len(reports))
            trained = time.perf_counter()
            report = EpochReport(
                epoch=len(reports) + 1,
                num_epochs=math.ceil(self.total_steps / self.steps_per_epoch),
                step=self.step,
                lr=self.lr_at(first_step),
                train_loss=train_loss,
                validation=self.evaluate(self.validation),
                num_images=num_images,
                train_seconds=trained - started,
                seconds=time.perf_counter() - started,
            )
            reports.append(report)
            self.on_epoch(report)
        return reports

    def train_epoch(self, epoch: int) -> tuple[float, int]:
        """One pass over the training images, or what is left of the run: mean loss, and images over all ranks."""
        self.model.train()
        seed, num_samples, batch_size = self.config.seed, len(self.labels), self.config.global_batch_size
        order_n = order(seed, epoch, num_samples).to(self.device)
        draws = FlipShift.draw(seed, epoch, num_samples) if self.config.data.augmentation == "flip_shift" else None
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        num_images = 0
        for step in range(min(self.steps_per_epoch, self.total_steps - self.step)):
            batch_b = batch(order_n, step, batch_size)
            loss_sum += self.train_step(batch_b, draws)
            num_images += len(batch_b)
            if self.step % CHECK_EVERY_STEPS == 0:
                self.raise_if_diverged()
        self.raise_if_diverged()
        if self.ranks.world_size > 1:
            dist.all_reduce(loss_sum)
        return float(loss_sum) / num_images, num_images

    def train_step(self, batch_b: Tensor, draws: FlipShift | None) -> Tensor:
        """One optimizer step on a global batch; the summed loss of this rank's share of it."""
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

    def lr_at(self, step: int) -> float:
        """The learning rate of an optimizer step (0-based)."""
        factor = warmup_cosine(step, warmup_steps=self.warmup_steps, total_steps=self.total_steps)
        return self.config.optim.lr * factor

    def raise_if_diverged(self) -> None:
        """Raise TrainingDiverged, on all ranks, if the loss of any was not finite."""
        if self.ranks.world_size > 1:
            dist.all_reduce(self.first_bad_step, dist.ReduceOp.MIN)
        step = int(self.first_bad_step)
        if step != NEVER:
            raise TrainingDiverged(
                f"The loss is not finite at step {step + 1} of {self.total_steps}, learning rate {self.lr_at(step):g}; "
                f"lower optim.lr ({self.config.optim.lr:g}) or raise optim.warmup_fraction"
            )

    def evaluate(self, split: Split) -> Evaluation:
        """How well the model does on `split`, every rank looking at its share of it."""
        if self.ranks.world_size > 1:  # BatchNorm keeps statistics of its rank's images: rank 0's are the model's
            for buffer in self.module.buffers():
                dist.broadcast(buffer, src=0)
        self.module.eval()
        return evaluate(self.module, split, num_classes=self.num_classes, device=self.device, ranks=self.ranks)


def _distributed(module: nn.Module, device: torch.device) -> nn.Module:
    return DistributedDataParallel(
        module,
        device_ids=[device.index] if device.type == "cuda" else None,
        forward_sync_buffers=False,  # done before each evaluation
        gradient_as_bucket_view=True,
    )

"""Evaluation of a classifier on a split: sums and counts, reduced across ranks, divided once.

Shapes: b images of a batch, k classes; of `bins_3b`, b confidence bins and 3 rows: images, sums of confidence, correct
images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import cross_entropy

from workloads.data.dataset import Split
from workloads.data.order import share
from workloads.ranks import Ranks

BATCH_SIZE = 1000
NUM_BINS = 15
"""Number of confidence bins in the calibration error of Guo et al. 2017, https://arxiv.org/abs/1706.04599."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Sums over images, in float64, which counts without error."""

    confusion_kk: Tensor
    """float64 [K, K]: images by label (row) and prediction (column)."""
    bins_3b: Tensor
    """float64 [3, NUM_BINS]: images, sum of confidence, and correct images, by confidence (the probability of the
    prediction) in equal parts of (0, 1]."""
    loss: Tensor
    """float64 []: summed cross-entropy, in nats."""

    @classmethod
    def of(cls, logits_bk: Tensor, labels_b: Tensor) -> Self:
        """Count a batch of float logits [B, K] and int64 labels [B]."""
        num_classes = logits_bk.shape[1]
        probabilities_b, predicted_b = logits_bk.double().softmax(1).max(1)
        correct_b = (predicted_b == labels_b).double()
        bins_b = ((probabilities_b * NUM_BINS).ceil().long() - 1).clamp(0, NUM_BINS - 1)
        confusion = torch.bincount(labels_b * num_classes + predicted_b, minlength=num_classes**2)
        return cls(
            confusion_kk=confusion.view(num_classes, num_classes).double(),
            bins_3b=torch.stack(
                [
                    torch.bincount(bins_b, weights, NUM_BINS)
                    for weights in (correct_b * 0 + 1, probabilities_b, correct_b)
                ]
            ),
            loss=cross_entropy(logits_bk.double(), labels_b, reduction="sum"),
        )

    def plus(self, other: Counts) -> Counts:
        """Return the sum of both counts."""
        return Counts(
            confusion_kk=self.confusion_kk + other.confusion_kk,
            bins_3b=self.bins_3b + other.bins_3b,
            loss=self.loss + other.loss,
        )

    def of_all_ranks(self, device: torch.device | str) -> Counts:
        """Return the sum over the ranks, each of which must call this; the all-reduce runs on `device`."""
        num_classes = len(self.confusion_kk)
        sums = torch.cat([self.confusion_kk.flatten(), self.bins_3b.flatten(), self.loss.view(1)]).to(device)
        dist.all_reduce(sums)
        sums = sums.cpu()
        return Counts(
            confusion_kk=sums[: num_classes**2].view(num_classes, num_classes),
            bins_3b=sums[num_classes**2 : -1].view(3, NUM_BINS),
            loss=sums[-1],
        )


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results over the `num_samples` images of a split."""

    loss: float
    """Mean cross-entropy, in nats."""
    accuracy: float
    """Share of correct predictions, 0 to 1."""
    per_class_accuracy: tuple[float | None, ...]
    """Accuracy by class, 0 to 1; None for a class without images."""
    num_samples: int

    @classmethod
    def of(cls, counts: Counts) -> Self:
        """Compute the results from counts."""
        correct_k, counts_k = counts.confusion_kk.diagonal(), counts.confusion_kk.sum(1)
        num_samples = float(counts_k.sum())
        return cls(
            loss=float(counts.loss) / num_samples,
            accuracy=float(correct_k.sum()) / num_samples,
            per_class_accuracy=tuple(
                correct / count if count else None
                for correct, count in zip(correct_k.tolist(), counts_k.tolist(), strict=True)
            ),
            num_samples=int(num_samples),
        )


@torch.no_grad()
def count(
    classify: Callable[[Tensor], Tensor],
    split: Split,
    *,
    num_classes: int,
    device: torch.device | str = "cpu",
    ranks: Ranks | None = None,
) -> Counts:
    """Return the counts of `classify` (uint8 [N, C, H, W] to logits [N, num_classes]) on `split`, on the CPU.

    With several ranks each evaluates its share and all return the same; every rank must call it.
    """
    ranks = ranks or Ranks()
    mine = split.take(share(torch.arange(len(split)), ranks.rank, ranks.world_size))
    counts = Counts.of(torch.zeros(0, num_classes), torch.zeros(0, dtype=torch.long))
    for first in range(0, len(mine), BATCH_SIZE):
        images = mine.images[first : first + BATCH_SIZE].to(device)
        labels_b = mine.labels[first : first + BATCH_SIZE].cpu()
        counts = counts.plus(Counts.of(classify(images).float().cpu(), labels_b))
    return counts.of_all_ranks(device) if ranks.world_size > 1 else counts


def evaluate(
    classify: Callable[[Tensor], Tensor],
    split: Split,
    *,
    num_classes: int,
    device: torch.device | str = "cpu",
    ranks: Ranks | None = None,
) -> Evaluation:
    """Return the results of `classify` on `split`; the arguments are those of `count`."""
    return Evaluation.of(count(classify, split, num_classes=num_classes, device=device, ranks=ranks))

"""How well a classifier does on a split: sums and counts, reduced across ranks, divided once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from workloads.data.datasets import Split
from workloads.data.order import share
from workloads.training.ranks import Ranks

BATCH_SIZE = 1000


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results over the `num_samples` images of a split."""

    loss: float
    """Mean cross-entropy."""
    accuracy: float
    per_class_accuracy: tuple[float | None, ...]
    """None for a class without images."""
    num_samples: int


@torch.no_grad()
def evaluate(
    classify: Callable[[Tensor], Tensor],
    split: Split,
    *,
    num_classes: int,
    device: torch.device | str = "cpu",
    ranks: Ranks | None = None,
) -> Evaluation:
    """Results of `classify` (uint8 [N, C, H, W] to logits [N, num_classes]) on `split`.

    With several ranks each looks at its share and all return the same; every rank must call it.
    """
    ranks = ranks or Ranks()
    mine = split.take(share(torch.arange(len(split)), ranks.rank, ranks.world_size))
    # Per class: images, right answers, and the summed loss. float64 counts without error.
    sums_3k = torch.zeros(3, num_classes, dtype=torch.float64, device=device)
    for first in range(0, len(mine), BATCH_SIZE):
        images = mine.images[first : first + BATCH_SIZE].to(device)
        labels_b = mine.labels[first : first + BATCH_SIZE].to(device)
        logits_bk = classify(images).float()
        losses_b = torch.nn.functional.cross_entropy(logits_bk, labels_b, reduction="none")
        right_b = logits_bk.argmax(1) == labels_b
        ones_b = torch.ones_like(losses_b)
        sums_3k.index_add_(1, labels_b, torch.stack([ones_b, right_b.float(), losses_b]).double())
    if ranks.world_size > 1:
        dist.all_reduce(sums_3k)
    counts_k, rights_k, losses_k = sums_3k.cpu()
    return Evaluation(
        loss=float(losses_k.sum() / counts_k.sum()),
        accuracy=float(rights_k.sum() / counts_k.sum()),
        per_class_accuracy=tuple(
            right / count if count else None for right, count in zip(rights_k.tolist(), counts_k.tolist(), strict=True)
        ),
        num_samples=int(counts_k.sum()),
    )

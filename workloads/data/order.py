"""The order in which a run sees its samples: a pure function of seed, epoch and step, whatever the number of ranks.

Shapes: n samples of the split, b samples of a batch.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from torch import Tensor

ORDER_STREAM: Final = 0
AUGMENTATION_STREAM: Final = 1
POLICY_STREAM: Final = 2
ERASE_STREAM: Final = 3
MIX_STREAM: Final = 4
"""The streams give each random function of (seed, epoch) a generator of its own."""


def order(seed: int, epoch: int, num_samples: int) -> Tensor:
    """Return the positions 0 to num_samples - 1, int64 [num_samples], shuffled for one epoch."""
    return torch.from_numpy(np.random.default_rng((seed, epoch, ORDER_STREAM)).permutation(num_samples))


def num_batches(num_samples: int, global_batch_size: int) -> int:
    """Return the optimizer steps of one epoch; the last may have a smaller batch."""
    return math.ceil(num_samples / global_batch_size)


def batch(order_n: Tensor, step: int, global_batch_size: int) -> Tensor:
    """Return the samples of the epoch's optimizer step `step` (0-based) over all ranks; the last batch may be short."""
    return order_n[step * global_batch_size : (step + 1) * global_batch_size]


def share(batch_b: Tensor, rank: int, world_size: int) -> Tensor:
    """Return one rank's share of a batch: floor or ceil of an equal part, in order; rank 0's is the largest.

    The shares of all ranks are the batch. Some are empty when the batch has fewer samples than there are ranks.
    """
    first, end = (math.ceil(r * len(batch_b) / world_size) for r in (rank, rank + 1))
    return batch_b[first:end]

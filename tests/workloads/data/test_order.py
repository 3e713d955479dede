from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from workloads.data.order import batch, num_batches, order, share

sizes = st.integers(1, 300)


@given(num_samples=sizes, batch_size=st.integers(1, 64), world_size=st.integers(1, 8), epoch=st.integers(0, 3))
def test_every_sample_is_seen_once_an_epoch_by_one_rank(
    num_samples: int, batch_size: int, world_size: int, epoch: int
) -> None:
    order_n = order(7, epoch, num_samples)
    batches = [batch(order_n, step, batch_size) for step in range(num_batches(num_samples, batch_size))]
    seen = torch.cat([share(batch_b, rank, world_size) for batch_b in batches for rank in range(world_size)])
    assert torch.equal(seen, order_n)
    assert torch.equal(seen.sort().values, torch.arange(num_samples))


@given(batch_size=sizes, world_size=st.integers(1, 16))
def test_shares_are_floor_or_ceil_of_a_part_and_the_first_is_the_largest(batch_size: int, world_size: int) -> None:
    counts = [len(share(torch.arange(batch_size), rank, world_size)) for rank in range(world_size)]
    assert sum(counts) == batch_size
    assert set(counts) <= {batch_size // world_size, -(-batch_size // world_size)}
    assert counts[0] == max(counts)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    assert torch.equal(order(1, 2, 100), order(1, 2, 100))
    assert not torch.equal(order(1, 2, 100), order(1, 3, 100))
    assert not torch.equal(order(1, 2, 100), order(2, 2, 100))

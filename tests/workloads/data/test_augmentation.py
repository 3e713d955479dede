from __future__ import annotations

import torch

from workloads.data.augmentation import SHIFT, FlipShift


def images(num_samples: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (num_samples, 1, 8, 8), generator=draw, dtype=torch.uint8)


def test_a_samples_draw_does_not_depend_on_the_batch_it_is_in() -> None:
    draws = FlipShift.draw(seed=1, epoch=2, num_samples=20)
    together = draws.apply(images(20), torch.tensor([3, 7, 11]))
    alone = draws.apply(images(20), torch.tensor([7]))
    assert torch.equal(together[1:2], alone)


def test_draws_differ_between_epochs() -> None:
    first, second = (FlipShift.draw(1, epoch, 50).apply(images(50), torch.arange(50)) for epoch in (0, 1))
    assert not torch.equal(first, second)


def test_an_image_is_mirrored_and_moved_with_black_moving_in() -> None:
    still = torch.tensor([SHIFT])
    mirrored = FlipShift(flips=torch.tensor([True]), rows=still, columns=still)
    moved = FlipShift(flips=torch.tensor([False]), rows=still + SHIFT, columns=still)
    original, at = images(1), torch.tensor([0])
    assert torch.equal(mirrored.apply(original, at), original.flip(-1))
    assert torch.equal(moved.apply(original, at)[:, :, :-SHIFT], original[:, :, SHIFT:])
    assert int(moved.apply(original, at)[:, :, -SHIFT:].max()) == 0

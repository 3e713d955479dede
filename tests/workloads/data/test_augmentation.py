from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from workloads.config import AUGMENTATIONS, MIXES, DataConfig
from workloads.data.augmentation import Augmentation
from workloads.data.flip_shift import SHIFT, Erase, FlipShift
from workloads.data.mixing import Mix
from workloads.data.operations import OPERATIONS
from workloads.data.policies import Policy

NUM_SAMPLES = 60
NUM_CLASSES = 7


def images(num_samples: int, channels: int = 1, size: int = 8) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (num_samples, channels, size, size), generator=draw, dtype=torch.uint8)


def labels(num_samples: int) -> Tensor:
    return torch.arange(num_samples) % NUM_CLASSES


def augmentation_of(epoch: int = 2, seed: int = 1, **changes: object) -> Augmentation:
    config = DataConfig(**changes)  # type: ignore[arg-type]  # as the test says
    return Augmentation.draw(config, seed=seed, epoch=epoch, num_samples=NUM_SAMPLES, num_classes=NUM_CLASSES)


def changed(augmentation: Augmentation, samples: Tensor, channels: int = 3) -> tuple[Tensor, Tensor]:
    needed = augmentation.samples_to_load(samples)
    return augmentation.apply(images(NUM_SAMPLES, channels, 16)[needed], labels(NUM_SAMPLES)[needed], needed)


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_what_happens_to_a_sample_does_not_depend_on_which_others_a_rank_has_with_it(
    augmentation: str, channels: int, mix: str
) -> None:
    augmentation_ = augmentation_of(augmentation=augmentation, mix=mix, erase_probability=0.5)
    batch = torch.randperm(NUM_SAMPLES, generator=torch.Generator().manual_seed(1))[:31]
    one_rank = changed(augmentation_, batch, channels)
    for world_size in (2, 3):
        parts = [changed(augmentation_, part, channels) for part in batch.tensor_split(world_size)]
        assert torch.equal(torch.cat([part for part, _ in parts]), one_rank[0])
        assert torch.equal(torch.cat([targets for _, targets in parts]), one_rank[1])


@pytest.mark.parametrize(
    "changes",
    [*({"augmentation": name} for name in AUGMENTATIONS[1:]), *({"mix": name} for name in MIXES[1:]),
     {"erase_probability": 1.0}],
    ids=str,
)  # fmt: skip
def test_draws_differ_between_epochs_and_seeds_and_are_the_same_again(changes: dict[str, object]) -> None:
    everything = torch.arange(NUM_SAMPLES)
    first, again, next_epoch, other_seed = (
        changed(augmentation_of(epoch, seed, **changes), everything)[0]
        for epoch, seed in ((0, 1), (0, 1), (1, 1), (0, 2))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, next_epoch)
    assert not torch.equal(first, other_seed)


def test_an_image_is_mirrored_and_moved_with_black_moving_in() -> None:
    still = torch.tensor([SHIFT])
    mirrored = FlipShift(flips=torch.tensor([True]), rows=still, columns=still)
    moved = FlipShift(flips=torch.tensor([False]), rows=still + SHIFT, columns=still)
    original, at = images(1), torch.tensor([0])
    assert torch.equal(mirrored.apply(original, at), original.flip(-1))
    assert torch.equal(moved.apply(original, at)[:, :, :-SHIFT], original[:, :, SHIFT:])
    assert int(moved.apply(original, at)[:, :, -SHIFT:].max()) == 0


def test_about_as_many_images_as_asked_for_lose_a_rectangle_of_a_size_within_bounds() -> None:
    whole = torch.full((2000, 1, 32, 32), 9, dtype=torch.uint8)
    erased = Erase.draw(0.25, 0, 0, 2000).apply(whole, torch.arange(2000))
    share = (erased == 0).float().mean((1, 2, 3))
    assert float((share > 0).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert 0.015 < float(share[share > 0].min()) < float(share.max()) < 0.36
    [image] = erased[share > 0][:1, 0]
    rows, columns = (image == 0).any(1).nonzero(), (image == 0).any(0).nonzero()
    assert int((image == 0).sum()) == len(rows) * len(columns)  # one rectangle


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_a_mixed_image_and_its_target_have_the_same_share_of_the_other(kind: str) -> None:
    mix = Mix.draw(kind, 1.0, 0, 0, 200)
    own, other = torch.zeros(200, 1, 16, 16, dtype=torch.uint8), torch.full((200, 1, 16, 16), 200, dtype=torch.uint8)
    zeros = torch.zeros(200, dtype=torch.int64)
    mixed, targets = mix.apply(own, other, zeros, zeros + 3, torch.arange(200), NUM_CLASSES)
    shares = mixed.float().mean((1, 2, 3)) / 200
    assert torch.allclose(targets[:, 3], shares, atol=1e-5)
    assert torch.allclose(targets[:, 0], 1 - shares, atol=1e-5)
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.06)  # of Beta(1, 1)
    assert (mixed.dtype == torch.uint8) == (kind == "cutmix")


def test_a_rand_augmented_image_gets_so_many_changes_of_that_strength() -> None:
    policy = Policy.rand_augment(3, 15, 0, 0, 5000)
    assert policy.operations_ns.shape == (5000, 3)
    assert torch.equal(policy.strengths_ns.abs(), torch.full((5000, 3), 0.5))
    counts = torch.bincount(policy.operations_ns.flatten(), minlength=len(OPERATIONS))
    assert int(counts[list(OPERATIONS).index("invert")]) == 0
    assert float(counts[counts > 0].min() / counts.max()) > 0.85  # each as often as any other
    assert int((counts > 0).sum()) == 14


def test_a_trivially_augmented_image_gets_one_change_of_any_strength() -> None:
    policy = Policy.trivial_augment(0, 0, 5000)
    assert policy.operations_ns.shape == (5000, 1)
    assert len(policy.strengths_ns.abs().unique()) == 31


# The operations, against Pillow's, from which the papers took them.


@pytest.mark.parametrize(
    ("name", "strength", "reference"),
    [
        ("auto_contrast", 1.0, ImageOps.autocontrast),
        ("equalize", 1.0, ImageOps.equalize),
        ("invert", 1.0, ImageOps.invert),
        ("posterize", 0.5, lambda image: ImageOps.posterize(image, 6)),
        ("solarize", 0.4, lambda image: ImageOps.solarize(image, 153)),
        ("brightness", 0.5, lambda image: ImageEnhance.Brightness(image).enhance(1.45)),
        ("brightness", -0.5, lambda image: ImageEnhance.Brightness(image).enhance(0.55)),
        ("color", 1.0, lambda image: ImageEnhance.Color(image).enhance(1.9)),
        ("contrast", -1.0, lambda image: ImageEnhance.Contrast(image).enhance(0.1)),
        ("contrast", 0.3, lambda image: ImageEnhance.Contrast(image).enhance(1.27)),
        ("sharpness", 1.0, lambda image: ImageEnhance.Sharpness(image).enhance(1.9)),
        ("sharpness", -1.0, lambda image: ImageEnhance.Sharpness(image).enhance(0.1)),
        ("rotate", 0.5, lambda image: image.rotate(15)),
        ("rotate", -1.0, lambda image: image.rotate(-30)),
        ("shear_x", 1.0, lambda image: image.transform(image.size, Image.Transform.AFFINE, (1, 0.3, -4.8, 0, 1, 0))),
        ("shear_y", 1.0, lambda image: image.transform(image.size, Image.Transform.AFFINE, (1, 0, 0, 0.3, 1, -4.8))),
        ("translate_x", 0.5, lambda image: image.transform(image.size, Image.Transform.AFFINE, (1, 0, -7, 0, 1, 0))),
        ("translate_y", -0.5, lambda image: image.transform(image.size, Image.Transform.AFFINE, (1, 0, 0, 0, 1, 7))),
    ],
)
def test_an_operation_is_pillows(name: str, strength: float, reference: object) -> None:
    size = 32
    ramp = (torch.arange(size)[:, None] * 3 + torch.arange(size)[None, :] * 4 + 20).clamp(max=250)
    colours = torch.stack([ramp, 255 - ramp, (ramp * 7) % 200]).to(torch.uint8)
    [found] = OPERATIONS[name](colours[None], torch.tensor([strength]), False)
    expected = reference(Image.fromarray(colours.permute(1, 2, 0).numpy()))  # type: ignore[operator]  # a function
    difference = found.permute(1, 2, 0).int() - torch.from_numpy(np.array(expected)).int()
    if name in ("equalize", "invert", "posterize", "solarize"):
        assert int(difference.abs().max()) == 0
    # Pillow cuts off where we round, and a pixel halfway between two may be taken from either.
    assert float((difference.abs() <= 2).float().mean()) > 0.97


@pytest.mark.parametrize("is_wide", [False, True])
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_image_of_a_batch_is_changed_by_its_own_strength(name: str, is_wide: bool) -> None:
    batch, strengths = images(5, 3, 12), torch.tensor([-1.0, -0.3, 0.0, 0.4, 1.0])
    together = OPERATIONS[name](batch, strengths, is_wide)
    alone = [OPERATIONS[name](batch[at : at + 1], strengths[at : at + 1], is_wide) for at in range(5)]
    assert torch.equal(together, torch.cat(alone))
    assert together.dtype == torch.uint8


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("value", [0, 255, 100])
def test_an_image_of_one_colour_is_no_trouble(name: str, value: int) -> None:
    plain = torch.full((2, 1, 8, 8), value, dtype=torch.uint8)
    assert OPERATIONS[name](plain, torch.tensor([0.5, -0.5]), False).shape == plain.shape


def test_an_image_with_too_few_values_to_spread_is_left_as_it_is() -> None:
    nearly_white = torch.full((1, 3, 32, 32), 250, dtype=torch.uint8)
    nearly_white[:, :, :4] = 20
    found = OPERATIONS["equalize"](nearly_white, torch.tensor([1.0]), False)
    expected = ImageOps.equalize(Image.fromarray(nearly_white[0].permute(1, 2, 0).numpy()))
    assert torch.equal(found[0].permute(1, 2, 0), torch.from_numpy(np.array(expected)))
    assert torch.equal(found, nearly_white)

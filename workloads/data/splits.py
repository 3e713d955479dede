"""Stratified parts of a split: every class keeps its share."""

from __future__ import annotations

import numpy as np
import torch

from workloads.data.dataset import Split
from workloads.errors import DataError


def stratified_split(split: Split, fraction: float, *, seed: int) -> tuple[Split, Split]:
    """Return `split` without, and only, a random `fraction` of each class: the same for the same seed.

    Each class gives round(fraction * its size) images, but at least one; raises DataError if that leaves a class empty.
    """
    held_out = []
    for label, members in _by_class(split, seed):
        count = max(1, round(fraction * len(members)))
        if count >= len(members):
            raise DataError(
                f"Class {label} has {len(members)} images; a part of {fraction:g} of them leaves none to train on"
            )
        held_out.append(members[:count])
    chosen = torch.from_numpy(np.sort(np.concatenate(held_out)))
    rest = torch.ones(len(split), dtype=torch.bool)
    rest[chosen] = False
    return split.take(rest.nonzero().squeeze(1)), split.take(chosen)


def stratified_sample(split: Split, num_samples: int, *, seed: int) -> Split:
    """Return `num_samples` images, balanced over classes as far as they last; raise DataError if there are fewer."""
    if num_samples > len(split):
        raise DataError(f"data.num_train is {num_samples}; the training split has {len(split)} images")
    # The first image of every class, then the second of every class, and so on, until there are enough.
    ranks = np.concatenate([np.arange(len(members)) for _, members in _by_class(split, seed)])
    members = np.concatenate([members for _, members in _by_class(split, seed)])
    chosen = members[np.argsort(ranks, kind="stable")[:num_samples]]
    return split.take(torch.from_numpy(np.sort(chosen)))


def training_splits(
    split: Split, *, validation_fraction: float, num_train: int | None, seed: int
) -> tuple[Split, Split]:
    """Return the training images of a run, `num_train` of them unless it is None, and the validation images.

    Raises DataError if there are fewer.
    """
    train, validation = stratified_split(split, validation_fraction, seed=seed)
    if num_train is not None:
        train = stratified_sample(train, num_train, seed=seed)
    return train, validation


def _by_class(split: Split, seed: int) -> list[tuple[int, np.ndarray]]:
    """Return each label with the positions of its images, in an order drawn from `seed`."""
    rng = np.random.default_rng(seed)
    labels = split.labels.numpy()
    return [(int(label), rng.permutation(np.flatnonzero(labels == label))) for label in np.unique(labels)]

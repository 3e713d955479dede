"""Digits: 1,797 grey images of 8 x 8 pixels in ten classes, which come with scikit-learn and need no download."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from workloads.data.dataset import Dataset, Split
from workloads.data.splits import stratified_split
from workloads.errors import DataError

TEST_FRACTION = 0.2
TEST_SEED = 0
"""Fixed, and not the run's seed: every run is judged by the same test images."""
LARGEST_PIXEL = 16


def folder() -> Path:
    """Where scikit-learn keeps the file; raises DataError when it is not installed."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError("Data set digits comes with scikit-learn, which is missing; run `pip install scikit-learn`")
    return Path(spec.origin).parent / "datasets" / "data"


def load() -> Dataset:
    """The data set, pixels stretched from 0-16 to 0-255, a stratified fifth of it kept for testing."""
    import torch
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # it ships no types

    bunch = load_digits()
    pixels_nhw = torch.as_tensor(bunch.images, dtype=torch.float32)
    images = (pixels_nhw * (255 / LARGEST_PIXEL)).round().to(torch.uint8).unsqueeze(1)
    whole = Split(images=images, labels=torch.as_tensor(bunch.target, dtype=torch.int64))
    train, test = stratified_split(whole, TEST_FRACTION, seed=TEST_SEED)
    return Dataset(name="digits", train=train, test=test, class_names=tuple(map(str, range(10))))

"""Digits: 1,797 grey images of 8 x 8 pixels in ten classes, which come with scikit-learn and need no download."""

from __future__ import annotations

import importlib.util
import zlib
from pathlib import Path

from workloads.data.dataset import Dataset, Split
from workloads.data.splits import stratified_split
from workloads.errors import DataError

TEST_FRACTION = 0.2
TEST_SEED = 0
"""Seed of the split, fixed and not the run's: every run is evaluated on the same test images."""
FILE = "digits.csv.gz"
IMAGE_SIZE = 8
LARGEST_PIXEL = 16


def folder() -> Path:
    """Return the folder in which scikit-learn keeps the file; raise DataError if it is not installed."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError("Data set digits comes with scikit-learn, which is missing; run `pip install scikit-learn`")
    return Path(spec.origin).parent / "datasets" / "data"


def load() -> Dataset:
    """Load the data set: pixels scaled from 0-16 to 0-255, a stratified fifth of it held out for testing.

    The file is read by NumPy: importing scikit-learn to read it costs every process of a run almost two seconds.
    """
    import numpy as np
    import torch

    path = folder() / FILE
    try:
        rows = torch.as_tensor(np.loadtxt(path, delimiter=",", dtype=np.float32))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); reinstall scikit-learn, which it comes with") from error
    pixels_nhw = rows[:, :-1].reshape(-1, IMAGE_SIZE, IMAGE_SIZE)
    images = (pixels_nhw * (255 / LARGEST_PIXEL)).round().to(torch.uint8).unsqueeze(1)
    whole = Split(images=images, labels=rows[:, -1].to(torch.int64))
    train, test = stratified_split(whole, TEST_FRACTION, seed=TEST_SEED)
    return Dataset(name="digits", train=train, test=test, class_names=tuple(map(str, range(10))))

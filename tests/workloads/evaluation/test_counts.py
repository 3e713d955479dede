from __future__ import annotations

import math

import pytest
import torch

from workloads.data.dataset import Split
from workloads.evaluation.counts import BATCH_SIZE, evaluate


def constant(label: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(label), 3).float() * 2


def test_sums_run_over_all_batches_and_are_divided_once() -> None:
    num_samples = BATCH_SIZE + 500
    labels = (torch.arange(num_samples) >= BATCH_SIZE).long()  # a full batch of class 0, half a batch of class 1
    split = Split(images=torch.zeros(num_samples, 1, 1, 1, dtype=torch.uint8), labels=labels)
    result = evaluate(lambda images: constant(0).expand(len(images), 3), split, num_classes=3)
    assert result.num_samples == num_samples
    assert result.accuracy == pytest.approx(BATCH_SIZE / num_samples)
    assert result.per_class_accuracy == (1.0, 0.0, None)
    normaliser = math.log(math.exp(2) + 2)
    assert result.loss == pytest.approx(normaliser - 2 * BATCH_SIZE / num_samples, rel=1e-6)

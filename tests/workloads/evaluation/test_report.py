from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (  # type: ignore[import-untyped]  # it has no types
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
)

from workloads.evaluation.counts import NUM_BINS, Counts
from workloads.evaluation.report import Report, worst_mistakes


def report(logits: torch.Tensor, labels: torch.Tensor) -> Report:
    return Report.of(Counts.of(logits, labels), [str(k) for k in range(logits.shape[1])])


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num_classes=st.integers(2, 12), num_samples=st.integers(1, 300))
def test_the_numbers_are_those_of_scikit_learn(seed: int, num_classes: int, num_samples: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(num_samples, num_classes, generator=random) * 2
    labels = torch.randint(num_classes, (num_samples,), generator=random)
    found, classes = report(logits, labels), list(range(num_classes))
    truth, answers = labels.numpy(), logits.argmax(1).numpy()

    assert found.accuracy == pytest.approx(accuracy_score(truth, answers))
    assert np.array_equal(found.confusion, confusion_matrix(truth, answers, labels=classes))
    probabilities = logits.double().softmax(1).numpy()
    assert found.loss == pytest.approx(log_loss(truth, probabilities, labels=classes))
    there_or_answered = sorted({*truth.tolist(), *answers.tolist()})
    expected = f1_score(truth, answers, labels=there_or_answered, average="macro", zero_division=0)
    assert found.macro_f1 == pytest.approx(expected)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, answers, labels=classes, zero_division=np.nan
    )
    for k, one in enumerate(found.classes):
        got = [math.nan if value is None else value for value in (one.precision, one.recall, one.f1)]
        assert got == pytest.approx([precision[k], recall[k], f1[k]], nan_ok=True)
        assert one.num_samples == support[k]


def logits_of(probability: float) -> list[float]:
    """Two classes, the first with that probability."""
    return [math.log(probability), math.log(1 - probability)]


def test_the_calibration_error_is_the_mean_gap_between_confidence_and_accuracy() -> None:
    # Six answers in three of 15 bins: (8/15, 9/15], (11/15, 12/15] and (14/15, 1].
    rows = [(0.55, 0), (0.57, 1), (0.75, 0), (0.95, 0), (0.97, 0), (0.99, 1)]
    logits = torch.tensor([logits_of(probability) for probability, _ in rows], dtype=torch.float64)
    found = report(logits, torch.tensor([label for _, label in rows]))
    gap_1, gap_2, gap_3 = abs(1 / 2 - 0.56), abs(1 - 0.75), abs(2 / 3 - 0.97)
    assert found.calibration_error == pytest.approx((2 * gap_1 + 1 * gap_2 + 3 * gap_3) / 6)
    assert {k: one.num_samples for k, one in enumerate(found.bins) if one.num_samples} == {8: 2, 11: 1, 14: 3}
    assert [found.bins[11].confidence, found.bins[11].accuracy] == pytest.approx([0.75, 1.0])
    assert (found.bins[0].confidence, found.bins[0].accuracy) == (None, None)


def test_a_sure_and_right_classifier_has_no_calibration_error() -> None:
    found = report(torch.eye(4) * 100, torch.arange(4))
    assert found.calibration_error == pytest.approx(0)
    assert found.bins[NUM_BINS - 1].num_samples == 4


def test_counts_of_parts_are_those_of_the_whole() -> None:
    logits, labels = torch.randn(97, 5, generator=torch.Generator().manual_seed(0)), torch.arange(97) % 5
    parts = Counts.of(logits[:40], labels[:40]).plus(Counts.of(logits[40:], labels[40:]))
    names = list("abcde")
    whole, added = (Report.of(one, names) for one in (Counts.of(logits, labels), parts))
    assert (added.accuracy, added.confusion) == (whole.accuracy, whole.confusion)
    assert (added.loss, added.calibration_error) == pytest.approx((whole.loss, whole.calibration_error))


def test_the_worst_mistakes_are_the_most_confident_ones() -> None:
    logits = torch.tensor([logits_of(p) for p in (0.6, 0.9, 0.8, 0.1)])
    worst = worst_mistakes(logits, torch.tensor([1, 0, 1, 0]), ["cat", "dog"], limit=2)
    assert [(one.index, one.label, one.predicted) for one in worst] == [(3, "cat", "dog"), (2, "dog", "cat")]
    assert worst[0].probability == pytest.approx(0.9)
    assert worst_mistakes(logits, torch.tensor([0, 0, 0, 1]), ["cat", "dog"], limit=2) == []


def test_the_report_is_plain_json() -> None:
    data = json.loads(json.dumps(report(torch.eye(3), torch.tensor([0, 1, 1])).as_data(), allow_nan=False))
    assert data["classes"][2] == {"name": "2", "num_samples": 0, "precision": 0.0, "recall": None, "f1": 0.0}

"""Results of a classifier on a split: accuracy, F1, calibration, confusion matrix.

Shapes: n images, k classes, b confidence bins; 3 their rows: images, sums of confidence, correct images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor

from workloads.evaluation.counts import NUM_BINS, Counts, Evaluation


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    """Results for one class; a ratio with denominator 0 is None."""

    name: str
    num_samples: int
    precision: float | None
    """Share of the images predicted as this class that are of it."""
    recall: float | None
    """Share of the images of this class that are predicted as it."""
    f1: float | None
    """Harmonic mean of precision and recall."""


@dataclass(frozen=True, kw_only=True)
class ConfidenceBin:
    """The images whose prediction had a probability in (low, high]."""

    low: float
    high: float
    num_samples: int
    confidence: float | None
    """Mean probability of the predictions; None without images."""
    accuracy: float | None
    """Share of correct predictions; None without images."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A wrong prediction."""

    index: int
    """Position of the image in its split, 0-based."""
    label: str
    predicted: str
    probability: float
    """Probability of the predicted class."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Results over the `num_samples` images of a split."""

    accuracy: float
    loss: float
    """Mean cross-entropy, in nats."""
    num_samples: int
    macro_f1: float
    """Mean F1 over the classes that have images or were predicted."""
    calibration_error: float
    """Expected calibration error: the gap between confidence and accuracy of a bin, averaged over images."""
    classes: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Number of images by label (row) and prediction (column)."""
    bins: tuple[ConfidenceBin, ...]

    @classmethod
    def of(cls, counts: Counts, class_names: Sequence[str]) -> Self:
        """Compute the results from counts."""
        evaluation = Evaluation.of(counts)
        classes = tuple(_class_results(counts.confusion_kk, class_names))
        bins = tuple(_bins(counts.bins_3b))
        gaps = [(one.num_samples, abs((one.confidence or 0) - (one.accuracy or 0))) for one in bins]
        f1s = [one.f1 for one in classes if one.f1 is not None]
        return cls(
            accuracy=evaluation.accuracy,
            loss=evaluation.loss,
            num_samples=evaluation.num_samples,
            macro_f1=math.fsum(f1s) / len(f1s),
            calibration_error=math.fsum(num * gap for num, gap in gaps) / evaluation.num_samples,
            classes=classes,
            confusion=tuple(tuple(int(num) for num in row) for row in counts.confusion_kk.tolist()),
            bins=bins,
        )

    def as_data(self) -> dict[str, Any]:
        """Return the results as nested plain values."""
        return asdict(self)


def worst_mistakes(logits_nk: Tensor, labels_n: Tensor, class_names: Sequence[str], limit: int) -> list[Mistake]:
    """Return the `limit` most confident mistakes, from logits [N, K] and int64 labels [N]."""
    probabilities_n, predicted_n = logits_nk.double().softmax(1).max(1)
    wrong = (predicted_n != labels_n).nonzero().flatten()
    order = wrong[probabilities_n[wrong].argsort(descending=True, stable=True)]
    return [
        Mistake(
            index=index,
            label=class_names[int(labels_n[index])],
            predicted=class_names[int(predicted_n[index])],
            probability=float(probabilities_n[index]),
        )
        for index in order[:limit].tolist()
    ]


def _class_results(confusion_kk: Tensor, class_names: Sequence[str]) -> list[ClassResult]:
    correct = confusion_kk.diagonal().tolist()
    labelled, predicted = confusion_kk.sum(1).tolist(), confusion_kk.sum(0).tolist()
    return [
        ClassResult(
            name=name,
            num_samples=int(labelled[k]),
            precision=_share(correct[k], predicted[k]),
            recall=_share(correct[k], labelled[k]),
            f1=_share(2 * correct[k], labelled[k] + predicted[k]),
        )
        for k, name in enumerate(class_names)
    ]


def _bins(bins_3b: Tensor) -> list[ConfidenceBin]:
    edges = torch.linspace(0, 1, NUM_BINS + 1, dtype=torch.float64).tolist()
    return [
        ConfidenceBin(
            low=low,
            high=high,
            num_samples=int(num),
            confidence=_share(confidence, num),
            accuracy=_share(right, num),
        )
        for low, high, (num, confidence, right) in zip(edges[:-1], edges[1:], bins_3b.T.tolist(), strict=True)
    ]


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None

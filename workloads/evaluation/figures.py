"""Figures of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

from workloads.evaluation.report import Mistake, Report

CONFUSION, RELIABILITY, MISTAKES = "confusion.png", "reliability.png", "mistakes.png"
MAX_NUMBERED_CLASSES = 20
"""Most classes for which the cells of a confusion matrix show their numbers."""
DPI = 120
COLUMNS = 4


def draw(folder: Path, report: Report, mistakes: Sequence[Mistake], images: Tensor) -> None:
    """Save the figures in `folder`; `images`, uint8 [N, C, H, W], are those of the split that mistakes index into."""
    figures = {CONFUSION: confusion(report), RELIABILITY: reliability(report)}
    if mistakes:
        figures[MISTAKES] = mistake_images(mistakes, images)
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=DPI, bbox_inches="tight")


def confusion(report: Report) -> Figure:
    """Return the confusion matrix: labels in rows, predictions in columns, shaded by the share of the row."""
    names = [one.name for one in report.classes]
    side = max(4.0, 0.45 * len(names))
    figure = Figure(figsize=(side + 1, side))
    axes = figure.subplots()
    shares = [[num / max(1, sum(row)) for num in row] for row in report.confusion]
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, label="share of the class")
    axes.set(xlabel="answer", ylabel="class", title=f"accuracy {report.accuracy:.4f}")
    if len(names) <= MAX_NUMBERED_CLASSES:
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        for row, numbers in enumerate(report.confusion):
            for column, number in enumerate(numbers):
                if number:
                    color = "white" if shares[row][column] > 1 / 2 else "black"
                    axes.text(column, row, str(number), ha="center", va="center", color=color, fontsize=7)
    return figure


def reliability(report: Report) -> Figure:
    """Return the reliability diagram: accuracy by confidence, above the number of images."""
    figure = Figure(figsize=(5, 6))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = [one for one in report.bins if one.num_samples]
    middles, width = [(one.low + one.high) / 2 for one in bins], report.bins[0].high - report.bins[0].low
    above.bar(middles, [one.accuracy or 0 for one in bins], width, edgecolor="white", label="accuracy")
    above.plot([0, 1], [0, 1], "--", color="gray", label="as sure as right")
    above.set(ylabel="accuracy", ylim=(0, 1), title=f"expected calibration error {report.calibration_error:.4f}")
    above.legend(loc="upper left")
    below.bar(middles, [one.num_samples for one in bins], width, edgecolor="white", color="gray")
    below.set(xlabel="confidence", ylabel="images", xlim=(0, 1))
    return figure


def mistake_images(mistakes: Sequence[Mistake], images: Tensor) -> Figure:
    """Return the images of the mistakes, with predicted and true class."""
    rows = -(-len(mistakes) // COLUMNS)
    figure = Figure(figsize=(2.2 * COLUMNS, 2.5 * rows))
    grid = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
    for axes in grid:
        axes.axis("off")
    for axes, mistake in zip(grid, mistakes, strict=False):
        [image] = images[mistake.index : mistake.index + 1].permute(0, 2, 3, 1).numpy()
        axes.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
        title = f"{mistake.predicted} ({mistake.probability:.2f})\nis {mistake.label}, image {mistake.index}"
        axes.set_title(title, fontsize=8)
    return figure

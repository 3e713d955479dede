from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from workloads.evaluation.counts import Counts
from workloads.evaluation.figures import CONFUSION, MISTAKES, RELIABILITY, draw, mistake_images
from workloads.evaluation.report import Mistake, Report, worst_mistakes
from workloads.evaluation.speed import latency, size

PNG = b"\x89PNG"


@pytest.mark.parametrize(("num_classes", "channels"), [(3, 1), (30, 3)], ids=["few, grey", "many, colour"])
def test_the_figures_of_an_evaluation_are_drawn(tmp_path: Path, num_classes: int, channels: int) -> None:
    logits, labels = torch.randn(50, num_classes), torch.arange(50) % num_classes
    names = [f"class {k}" for k in range(num_classes)]
    images = torch.randint(256, (50, channels, 8, 8), dtype=torch.uint8)
    mistakes = worst_mistakes(logits, labels, names, 6)
    draw(tmp_path, Report.of(Counts.of(logits, labels), names), mistakes, images)
    assert {path.name: path.read_bytes()[:4] for path in tmp_path.iterdir()} == dict.fromkeys(
        (CONFUSION, RELIABILITY, MISTAKES), PNG
    )


def test_each_mistake_is_shown_with_what_was_said_and_what_it_is() -> None:
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 1, 8, 8)
    mistakes = [Mistake(index=index, label="cat", predicted="dog", probability=0.9) for index in (4, 1, 3, 0, 2)]
    shown = [axes for axes in mistake_images(mistakes, images).axes if axes.images]
    assert [int(np.asarray(axes.images[0].get_array())[0, 0]) for axes in shown] == [4, 1, 3, 0, 2]
    assert shown[0].get_title() == "dog (0.90)\nis cat, image 4"


def test_who_makes_no_mistake_has_no_figure_of_them(tmp_path: Path) -> None:
    report = Report.of(Counts.of(torch.eye(2) * 9, torch.arange(2)), ["a", "b"])
    draw(tmp_path, report, [], torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    assert {path.name for path in tmp_path.iterdir()} == {CONFUSION, RELIABILITY}


def test_the_latency_is_that_of_whole_batches_even_of_few_images() -> None:
    shown: list[int] = []

    def classify(images: torch.Tensor) -> torch.Tensor:
        shown.append(len(images))
        return images

    found = latency(classify, torch.zeros(5, 1, 8, 8, dtype=torch.uint8), 64)
    assert set(shown) == {64}
    assert 0 < found.median_ms <= found.p95_ms
    assert 10 <= found.num_runs < len(shown)


def test_the_size_counts_what_is_learned_and_all_that_is_kept() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    found = size(module)
    assert found.num_parameters == 3 * 2 + 2 + 2 + 2
    assert found.num_bytes == found.num_parameters * 4 + (2 + 2) * 4 + 8  # running mean and variance, batches seen

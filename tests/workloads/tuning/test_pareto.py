from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.workloads.tuning.objectives import config, result, study
from workloads.data.dataset import Dataset, Split
from workloads.evaluation.speed import Latency
from workloads.tuning import pareto
from workloads.tuning.trials import Trial


def test_on_the_front_is_what_nothing_beats_at_its_cost() -> None:
    assert pareto.pareto_front([(2, 0.8), (1, 0.7), (3, 0.75), (1, 0.6), (4, 0.9), (5, 0.9)]) == [
        (1, 0.7),
        (2, 0.8),
        (4, 0.9),
    ]
    assert pareto.pareto_front([]) == []


def test_a_trial_that_failed_or_has_no_result_yet_is_not_among_those_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    latency = Latency(batch_size=1, median_ms=1, p95_ms=1, num_runs=1)
    monkeypatch.setattr(pareto, "latency", lambda module, images, batch_size: latency)
    split = Split(images=torch.randint(0, 256, (4, 1, 28, 28), dtype=torch.uint8), labels=torch.arange(4))
    dataset = Dataset(name="few", train=split, test=split, class_names=("a", "b", "c", "d"))
    searched = study(config(4), num_trials=3)
    assert pareto.pareto_figure(searched, dataset) is None
    for number, accuracy in enumerate((0.5, 0.9)):
        assert searched.next()
        searched.report(number, result(1, accuracy))
    searched.end(1, "broke after an epoch")
    assert searched.next()
    figure = pareto.pareto_figure(searched, dataset)
    assert figure
    for axes in figure.axes:
        trials, front = axes.lines
        assert np.asarray(trials.get_ydata()).tolist() == np.asarray(front.get_ydata()).tolist() == [0.5]


def test_a_wider_net_is_larger_and_each_kind_of_net_is_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[int] = []

    def latency(module: nn.Module, images: Tensor, batch_size: int) -> Latency:
        assert module(images).shape == (2, 4)
        timed.append(batch_size)
        return Latency(batch_size=batch_size, median_ms=len(timed), p95_ms=0, num_runs=1)

    monkeypatch.setattr(pareto, "latency", latency)
    split = Split(images=torch.randint(0, 256, (4, 1, 28, 28), dtype=torch.uint8), labels=torch.arange(4))
    dataset = Dataset(name="few", train=split, test=split, class_names=("a", "b", "c", "d"))
    drawn: list[dict[str, object]] = [{"model.width": 64}, {"optim.lr": 0.1}, {"optim.lr": 0.2}]
    found = pareto.costs(config(1), [Trial(number=n, params=params) for n, params in enumerate(drawn)], dataset)
    assert timed == [1, 1]
    assert found[1] is found[2]
    assert {found[0].latency_ms, found[1].latency_ms} == {1, 2}
    # Of the widest: three convolutions without bias and their norms, then the classifier.
    convolutions = 9 * 64 * (1 + 2 * 64 + 2 * 4 * 64)
    assert found[0].num_parameters == convolutions + 2 * 64 * (1 + 2 + 4) + 4 * (4 * 64 + 1)
    assert found[1].num_parameters < found[0].num_parameters

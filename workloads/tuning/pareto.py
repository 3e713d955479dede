"""Size and latency of trials' networks against their accuracy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure

from workloads.config import TrainConfig
from workloads.data.dataset import Dataset
from workloads.evaluation.speed import latency, size
from workloads.models.build import ModelSpec
from workloads.tuning.states import FAILED
from workloads.tuning.study import Study
from workloads.tuning.trials import Trial


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The serving cost of a network, whatever its weights are."""

    num_parameters: int
    latency_ms: float
    """Median time from one image to its logits on this machine, in milliseconds."""


def costs(config: TrainConfig, trials: Iterable[Trial], dataset: Dataset) -> dict[int, Cost]:
    """Return the costs of the trials' networks by trial number; each distinct network is built and timed once."""
    nets = {trial.number: config.with_values(trial.params).model for trial in trials}
    few = dataset.test.take(torch.arange(2))
    by_net = {}
    for net in set(nets.values()):
        module = ModelSpec.of(net, few, len(dataset.class_names)).build(config.seed).eval()
        by_net[net] = Cost(
            num_parameters=size(module).num_parameters, latency_ms=latency(module, few.images, batch_size=1).median_ms
        )
    return {number: by_net[net] for number, net in nets.items()}


def pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the Pareto front of points (cost, accuracy), by ascending cost."""
    best: list[tuple[float, float]] = []
    for cost, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or accuracy > best[-1][1]:
            best.append((cost, accuracy))
    return best


def pareto_figure(study: Study, dataset: Dataset) -> Figure | None:
    """Return the figure of validation accuracy against size and latency, with the Pareto fronts."""
    trials = [trial for trial in study.trials if trial.val_accuracy is not None and trial.state != FAILED]
    if not trials:
        return None
    of_trials = costs(study.config, trials, dataset)
    figure = Figure(figsize=(9, 4))
    for axes, label, key in zip(
        figure.subplots(1, 2, sharey=True), ("parameters", "ms an image"), ("num_parameters", "latency_ms"), strict=True
    ):
        points = [(getattr(of_trials[trial.number], key), trial.val_accuracy or 0.0) for trial in trials]
        axes.plot(*zip(*points, strict=True), "o", alpha=0.5)
        axes.step(*zip(*pareto_front(points), strict=True), where="post", color="gray", label="best for its cost")
        axes.set(xlabel=label, xscale="log")
        axes.legend()
    figure.axes[0].set(ylabel="validation accuracy")
    return figure

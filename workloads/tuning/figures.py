"""Figures of a search."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import optuna
from matplotlib.figure import Figure

from workloads.data.dataset import Dataset
from workloads.tuning.pareto import pareto_figure
from workloads.tuning.samplers import frozen_trial
from workloads.tuning.states import COMPLETE, FAILED, PRUNED
from workloads.tuning.study import Study

HISTORY, IMPORTANCES, PARETO = "history.png", "importances.png", "pareto.png"
MIN_TRIALS = 4
"""Fewest trials from which parameter importances are computed."""
DPI = 120


def draw(folder: Path, study: Study, dataset: Dataset) -> None:
    """Save the figures for which there are enough trials in `folder`."""
    for name, figure in (
        (HISTORY, history(study)),
        (IMPORTANCES, importances(study)),
        (PARETO, pareto_figure(study, dataset)),
    ):
        if figure:
            figure.savefig(folder / name, dpi=DPI, bbox_inches="tight")


def history(study: Study) -> Figure | None:
    """Return the figure of each trial's last validation accuracy, and the best so far."""
    trials = [trial for trial in study.trials if trial.val_accuracy is not None]
    if not trials:
        return None
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    for state in sorted({trial.state for trial in trials}):
        some = [trial for trial in trials if trial.state == state]
        axes.plot([t.number + 1 for t in some], [t.val_accuracy or 0.0 for t in some], "o", label=state, alpha=0.7)
    good = [trial for trial in trials if trial.state != FAILED]
    best = list(accumulate((trial.val_accuracy or 0.0 for trial in good), max))
    axes.step([trial.number + 1 for trial in good], best, where="post", color="gray", label="best so far")
    axes.set(xlabel="trial", ylabel="validation accuracy")
    axes.legend()
    return figure


def importances(study: Study) -> Figure | None:
    """Return the figure of parameter importances (PED-ANOVA, https://arxiv.org/abs/2304.10255).

    Importance is the share of the accuracy's variance that a parameter explains, for parameters that all trials have.
    """
    space = study.config.search.space
    done = [trial for trial in study.trials if trial.state in (COMPLETE, PRUNED)]
    if len(done) < MIN_TRIALS or len({trial.val_accuracy for trial in done}) == 1:
        return None
    complete = optuna.create_study(direction="maximize")
    for trial in done:
        one = frozen_trial(trial, space)
        one.state = optuna.trial.TrialState.COMPLETE  # the last accuracy of a pruned one counts too
        complete.add_trial(one)
    found = optuna.importance.get_param_importances(complete)
    if not found:
        return None
    figure = Figure(figsize=(6, 0.5 * len(found) + 1.2))
    axes = figure.subplots()
    axes.barh(list(found), list(found.values()))
    axes.invert_yaxis()
    axes.set(xlabel="importance for the validation accuracy", xlim=(0, 1))
    return figure

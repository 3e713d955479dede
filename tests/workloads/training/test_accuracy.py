from __future__ import annotations

from statistics import median

import pytest
import torch

from workloads.config import load_config
from workloads.data.datasets import load
from workloads.environment import PlatformEnvironment
from workloads.evaluation.counts import evaluate
from workloads.ranks import Ranks
from workloads.training.run import train_model


@pytest.mark.slow
def test_three_runs_on_digits_are_right_about_98_of_100_test_images() -> None:
    torch.set_num_threads(1)
    dataset, found = load("digits", PlatformEnvironment()), []
    for seed in range(3):
        config = load_config("digits", {"seed": seed})
        trained = train_model(config, dataset, Ranks(), torch.device("cpu"), lambda report: None)
        found.append(evaluate(trained.module, dataset.test, num_classes=10).accuracy)
    assert median(found) >= 0.98

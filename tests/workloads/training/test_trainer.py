from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from workloads.config import TrainConfig
from workloads.data.dataset import Dataset
from workloads.data.datasets import load
from workloads.data.splits import stratified_sample, stratified_split
from workloads.environment import PlatformEnvironment
from workloads.errors import TrainingDiverged
from workloads.evaluation.counts import evaluate
from workloads.ranks import Ranks
from workloads.training.reports import EpochReport
from workloads.training.run import TrainedModel, train_model

ConfigBuilder = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", PlatformEnvironment())


def train(
    config: TrainConfig, dataset: Dataset, on_epoch: Callable[[EpochReport], None] = lambda report: None
) -> TrainedModel:
    torch.set_num_threads(1)
    return train_model(config, dataset, Ranks(), torch.device("cpu"), on_epoch)


def weights(trained: TrainedModel) -> torch.Tensor:
    return torch.cat([tensor.flatten().double() for tensor in trained.module.state_dict().values()])


def test_the_loss_of_a_tiny_set_falls(digits_config: ConfigBuilder, digits: Dataset) -> None:
    config = digits_config({"epochs": 15, "data.num_train": 30, "optim.warmup_fraction": 0.0})
    losses = [report.train_loss for report in train(config, digits).reports]
    assert losses[-1] < losses[0] / 4
    assert sum(after < before for before, after in pairwise(losses)) > 10


@pytest.mark.parametrize("augmentation", ["none", "flip_shift"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_another_does_not(
    digits_config: ConfigBuilder, digits: Dataset, augmentation: str
) -> None:
    config = digits_config({"data.augmentation": augmentation, "model.dropout": 0.2, "epochs": 1})
    first, again, other = (weights(train(config.with_values({"seed": seed}), digits)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_run_ends_at_its_last_step_with_the_rate_near_zero(digits_config: ConfigBuilder, digits: Dataset) -> None:
    reports = train(digits_config({"max_steps": 25, "epochs": 9}), digits).reports
    assert [report.step for report in reports] == [21, 25]  # 1,295 images in batches of 64 make 21 steps
    assert [report.num_epochs for report in reports] == [2, 2]
    assert [report.num_images for report in reports] == [1295, 4 * 64]


def test_each_epoch_is_told_as_it_ends(digits_config: ConfigBuilder, digits: Dataset) -> None:
    reports: list[EpochReport] = []
    trained = train(digits_config(), digits, reports.append)
    assert reports == trained.reports
    assert [report.epoch for report in reports] == [1, 2]
    assert all(report.validation.num_samples == 143 for report in reports)


def test_a_loss_that_is_not_finite_ends_the_run_with_step_and_rate(
    digits_config: ConfigBuilder, digits: Dataset
) -> None:
    with pytest.raises(TrainingDiverged, match=r"not finite at step \d+ of 42, learning rate .*; lower optim.lr"):
        train(digits_config({"optim.lr": 1e12}), digits)


def test_the_mean_loss_counts_every_image_once(digits_config: ConfigBuilder, digits: Dataset) -> None:
    # With a rate of almost nothing the model stays as it was, so that its loss over the epoch can be computed apart.
    config = digits_config({"epochs": 1, "optim.lr": 1e-30, "model.norm": "group", "data.num_train": 70})
    trained = train(config, digits)
    rest, _ = stratified_split(digits.train, config.data.validation_fraction, seed=config.seed)
    expected = evaluate(trained.module, stratified_sample(rest, 70, seed=config.seed), num_classes=10).loss
    assert trained.reports[0].train_loss == pytest.approx(expected, rel=1e-5)


def test_a_run_that_stops_getting_better_ends_with_the_weights_of_its_best_epoch(
    digits_config: ConfigBuilder, digits: Dataset
) -> None:
    config = digits_config({"epochs": 60, "data.num_train": 60, "optim.patience_epochs": 3, "optim.lr": 0.3})
    trained = train(config, digits)
    accuracies = [report.validation.accuracy for report in trained.reports]
    best = accuracies.index(max(accuracies))
    assert len(accuracies) == best + 1 + 3 < 60
    assert trained.result is trained.reports[best]
    _, validation = stratified_split(digits.train, config.data.validation_fraction, seed=config.seed)
    assert evaluate(trained.module, validation, num_classes=10) == trained.reports[best].validation


def test_the_averaged_weights_are_the_ones_that_are_judged_and_kept(
    digits_config: ConfigBuilder, digits: Dataset
) -> None:
    values = {"epochs": 3, "optim.schedule": "step", "data.num_train": 200}
    plain, averaged = (train(digits_config(values | {"optim.ema_decay": decay}), digits) for decay in (None, 0.9))
    assert [one.train_loss for one in plain.reports] == [one.train_loss for one in averaged.reports]
    assert not torch.equal(weights(plain), weights(averaged))
    _, validation = stratified_split(digits.train, 0.1, seed=0)
    evaluation = evaluate(averaged.module, validation, num_classes=10)
    assert evaluation.loss == averaged.reports[-1].validation.loss != plain.reports[-1].validation.loss


@pytest.mark.parametrize(
    "changes",
    [
        {"data.augmentation": "rand_augment"},
        {"data.augmentation": "trivial_augment"},
        {"data.augmentation": "auto_augment"},
        {"data.mix": "mixup"},
        {"data.mix": "cutmix", "data.erase_probability": 0.5},
    ],
    ids=lambda changes: " ".join(map(str, changes.values())),
)
def test_a_net_learns_from_changed_images(
    digits_config: ConfigBuilder, digits: Dataset, changes: dict[str, object]
) -> None:
    config = digits_config({"epochs": 5, "model.width": 8} | changes)
    assert train(config, digits).reports[-1].validation.loss < 1.9  # that of knowing nothing is 2.3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler's own
def test_a_translated_model_learns_as_the_plain_one(digits_config: ConfigBuilder, digits: Dataset) -> None:
    values = {"max_steps": 5, "data.num_train": 128}
    plain, translated = (train(digits_config(values | {"compute.compile": each}), digits) for each in (False, True))
    assert float((weights(plain) - weights(translated)).abs().max()) < 1e-4

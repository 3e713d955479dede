"""A run that was ended at any step goes on as if nothing had happened."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from workloads.checkpoints.checkpoints import Checkpoints, copy_to_cpu
from workloads.checkpoints.run_folder import Identity, claim, read_identity, run_store
from workloads.checkpoints.store import FolderStore
from workloads.cli import app
from workloads.config import TrainConfig
from workloads.data.dataset import Dataset
from workloads.data.datasets import load
from workloads.environment import PlatformEnvironment
from workloads.errors import CheckpointError, Preempted, Stopped, TrainingDiverged, WorkloadError
from workloads.ranks import Ranks
from workloads.tracking.connection import connect
from workloads.training.options import TrainOptions
from workloads.training.reports import EpochReport
from workloads.training.run import TrainedModel, preflight, run, train_model
from workloads.training.trainer import step_seed

ConfigBuilder = Callable[..., TrainConfig]
SMALL = {"data.num_train": 200, "global_batch_size": 32, "epochs": 3, "model.dropout": 0.2}  # 7 steps an epoch
DEVICE = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", PlatformEnvironment())


@pytest.fixture
def config(digits_config: ConfigBuilder) -> TrainConfig:
    return digits_config(SMALL | {"data.augmentation": "flip_shift", "checkpoint.every_steps": 1})


class Kept:
    """A saver that keeps every state as it was."""

    def __init__(self) -> None:
        self.states: dict[int, dict[str, Any]] = {}

    def save(self, step: int, state: Mapping[str, Any], *, score: float | None = None) -> None:
        self.states[step] = copy_to_cpu(state)


def train(config: TrainConfig, dataset: Dataset, **arguments: Any) -> TrainedModel:
    torch.set_num_threads(1)
    return train_model(config, dataset, Ranks(), DEVICE, lambda report: None, **arguments)


def weights(trained: TrainedModel) -> torch.Tensor:
    return torch.cat([tensor.flatten().double() for tensor in trained.module.state_dict().values()])


def results(trained: TrainedModel) -> list[EpochReport]:
    return [replace(report, seconds=0, train_seconds=0) for report in trained.reports]


def test_from_every_step_the_run_ends_with_the_same_weights_and_results_bit_for_bit(
    config: TrainConfig, digits: Dataset
) -> None:
    kept = Kept()
    whole = train(config, digits, saver=kept)
    assert sorted(kept.states) == list(range(1, 22))  # 21 steps, of which three end an epoch
    for state in kept.states.values():
        torch.seed()  # what a new process has by chance
        again = train(config, digits, state=state)
        assert torch.equal(weights(again), weights(whole))
        assert results(again) == results(whole)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"optim.ema_decay": 0.9, "optim.schedule": "one_cycle"}, id="averaged weights"),
        pytest.param({"optim.name": "adamw", "optim.lr": 0.002, "optim.max_grad_norm": 0.5}, id="adamw, clipped"),
        pytest.param({"compute.micro_batch_size": 7, "data.mix": "cutmix"}, id="in pieces, mixed"),
        pytest.param({"compute.precision": "fp16", "data.augmentation": "rand_augment"}, id="fp16, with its scale"),
        pytest.param({"epochs": 40, "optim.patience_epochs": 2, "optim.lr": 0.3, "data.mix": "mixup"}, id="ends early"),
    ],
)
def test_a_run_goes_on_bit_for_bit_whatever_it_trains_with(
    config: TrainConfig, digits: Dataset, changes: dict[str, object]
) -> None:
    config = config.with_values({"model.norm": "batch"} | changes)
    kept = Kept()
    whole = train(config, digits, saver=kept)
    steps = sorted(kept.states)
    for step in {steps[0], steps[len(steps) // 2], steps[-2], steps[-1]}:
        torch.seed()
        again = train(config, digits, state=kept.states[step])
        assert torch.equal(weights(again), weights(whole))
        assert results(again) == results(whole)


def test_a_state_is_kept_after_so_many_steps_and_after_every_epoch(config: TrainConfig, digits: Dataset) -> None:
    kept = Kept()
    train(config.with_values({"checkpoint.every_steps": 5, "max_steps": 16}), digits, saver=kept)
    assert sorted(kept.states) == [5, 7, 10, 14, 15, 16]


def test_who_is_asked_to_end_does_so_after_a_step_with_the_state_kept(config: TrainConfig, digits: Dataset) -> None:
    config = config.with_values({"checkpoint.every_steps": None})
    whole, kept = train(config, digits), Kept()
    with pytest.raises(Preempted, match="after step 1 of 21"):
        train(config, digits, saver=kept, stop=lambda: True)
    assert list(kept.states) == [1]
    assert torch.equal(weights(train(config, digits, state=kept.states[1])), weights(whole))


def test_a_state_of_another_model_is_refused(config: TrainConfig, digits: Dataset) -> None:
    kept = Kept()
    train(config.with_values({"max_steps": 1}), digits, saver=kept)
    with pytest.raises(CheckpointError, match=r"not of this config's model: .*size mismatch"):
        train(config.with_values({"model.width": 8}), digits, state=kept.states[1])


def test_a_state_that_is_not_finite_is_never_kept(config: TrainConfig, digits: Dataset) -> None:
    kept = Kept()
    with pytest.raises(TrainingDiverged):
        train(config.with_values({"optim.lr": 1e12}), digits, saver=kept)
    tensors = [tensor for state in kept.states.values() for tensor in state["model"].values()]
    assert all(torch.isfinite(tensor).all() for tensor in tensors)


def test_seeds_of_steps_and_ranks_differ() -> None:
    seeds = [step_seed(seed, step, rank) for seed in range(3) for step in range(1000) for rank in range(3)]
    assert len(set(seeds)) > 8990  # 32 bits: a pair in a hundred such sets may be equal by chance
    assert all(0 <= seed < 2**32 for seed in seeds)


# Whole runs, with their folder and their record.


class Killed(Exception):  # noqa: N818  reads as what happened
    """Stands for the end of the process."""


@pytest.fixture
def kept_in(environment: PlatformEnvironment, tmp_path: Path) -> PlatformEnvironment:
    return replace(environment, checkpoints=str(tmp_path / "runs"))


def options(**changes: Any) -> TrainOptions:
    return replace(TrainOptions(run_name="a", register=False, test=False), **changes)


def run_alone(
    config: TrainConfig,
    options: TrainOptions,
    environment: PlatformEnvironment,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
) -> None:
    run(config, options, environment, Ranks(), on_epoch)


def die_after(epoch: int) -> Callable[[EpochReport], None]:
    def on_epoch(report: EpochReport) -> None:
        if report.epoch == epoch:
            raise Killed  # before the epoch's checkpoint, after its record

    return on_epoch


def test_a_run_goes_on_in_its_own_record_with_one_point_for_each_step(
    digits_config: ConfigBuilder, kept_in: PlatformEnvironment
) -> None:
    config = digits_config(SMALL)
    for resume, ends_in in ((False, 1), (True, 2)):
        with pytest.raises(Killed):
            run_alone(config, options(resume=resume), kept_in, die_after(ends_in))
    run_alone(config, options(resume=True), kept_in)

    client = connect(kept_in)
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    [record] = client.search_runs([experiment.experiment_id])
    assert record.info.status == "FINISHED"
    for key in ("train/loss", "val/accuracy"):
        points = client.get_metric_history(record.info.run_id, key)
        assert [point.step for point in points] == [7, 14, 21]


def test_a_run_that_reached_its_end_leaves_its_result_and_cannot_go_on(
    digits_config: ConfigBuilder, kept_in: PlatformEnvironment, tmp_path: Path
) -> None:
    run_alone(digits_config(SMALL), options(), kept_in)
    assert (tmp_path / "runs" / "a" / "result.json").is_file()
    with pytest.raises(CheckpointError, match="Run a exists already; resume it with --resume a"):
        preflight(digits_config(SMALL), options(), kept_in, num_ranks=1)


def test_two_runs_of_one_name_do_not_share_a_folder(
    digits_config: ConfigBuilder, kept_in: PlatformEnvironment, tmp_path: Path
) -> None:
    run_alone(digits_config(SMALL | {"epochs": 1}), options(tracking=False), kept_in)
    before = {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*.*")}
    with pytest.raises(CheckpointError, match="Run a exists already"):
        run_alone(digits_config(SMALL), options(tracking=False), kept_in)
    assert {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*.*")} == before


def test_a_damaged_newest_checkpoint_costs_the_steps_since_the_one_before(
    digits_config: ConfigBuilder, kept_in: PlatformEnvironment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = digits_config(SMALL)
    with pytest.raises(Killed):
        run_alone(config, options(tracking=False), kept_in, die_after(3))
    newest = tmp_path / "runs" / "a" / "checkpoints" / "000000014.pt"
    newest.write_bytes(newest.read_bytes()[:-1])
    epochs: list[int] = []
    run_alone(config, options(tracking=False, resume=True), kept_in, lambda report: epochs.append(report.epoch))
    assert epochs == [2, 3]
    assert "000000014.pt is damaged" in caplog.text


def test_a_disk_that_is_full_ends_the_run_and_keeps_the_checkpoint_before(
    digits_config: ConfigBuilder, kept_in: PlatformEnvironment, tmp_path: Path
) -> None:
    whole = FolderStore.write

    def write(store: FolderStore, name: str, data: bytes) -> None:
        if name.startswith("checkpoints/000000014"):
            raise OSError(28, "No space left on device", name)
        whole(store, name, data)

    with pytest.MonkeyPatch.context() as disk:
        disk.setattr(FolderStore, "write", write)
        with pytest.raises(OSError, match="No space left"):
            run_alone(digits_config(SMALL), options(tracking=False), kept_in)
    found = Checkpoints(FolderStore(tmp_path / "runs" / "a")).newest()
    assert found is not None
    assert found["step"] == 7
    run_alone(digits_config(SMALL), options(tracking=False, resume=True), kept_in)


def test_without_a_place_for_checkpoints_a_signal_ends_the_run_as_ever(
    digits_config: ConfigBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workloads.stop_request.StopRequest.is_requested", True)
    with pytest.raises(Stopped):
        run_alone(digits_config(SMALL), options(tracking=False), PlatformEnvironment())


def test_a_run_without_a_record_goes_on_without_one(digits_config: ConfigBuilder, kept_in: PlatformEnvironment) -> None:
    with pytest.raises(Killed):
        run_alone(digits_config(SMALL), options(tracking=False), kept_in, die_after(2))
    with pytest.raises(WorkloadError, match=r"Run a began without a record .* with --no-tracking"):
        run_alone(digits_config(SMALL), options(resume=True), kept_in)


# What `train --resume` takes from how the run was begun.


def resumed(
    monkeypatch: pytest.MonkeyPatch, kept_in: PlatformEnvironment, *arguments: str
) -> tuple[TrainOptions, int, str]:
    """The options, ranks and launcher with which the command would go on."""
    seen: list[tuple[TrainOptions, int, str]] = []

    def by(launcher: str) -> Callable[..., None]:
        def note(config: object, options: TrainOptions, *_: object, num_ranks: int = 1, **__: object) -> None:
            seen.append((options, num_ranks, launcher))

        return note

    with monkeypatch.context() as patch:
        for name, value in kept_in.variables().items():
            patch.setenv(name, value)
        patch.setattr("workloads.training.run.run", by("local"))
        patch.setattr("workloads.training.launch.train_on_ranks", by("torchrun"))
        patch.setattr("workloads.training.on_ray.train_on_ray", by("ray"))
        result = CliRunner().invoke(app, ["train", "--resume", "a", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    [found] = seen
    return found


@pytest.mark.parametrize(
    ("begun", "ranks", "launcher"),
    [
        pytest.param({}, 1, "local", id="nothing"),
        pytest.param({"register": False}, 1, "local", id="no register"),
        pytest.param({"test": False}, 1, "local", id="no test"),
        pytest.param({"tracking": False}, 1, "local", id="no tracking"),
        pytest.param({"ranks": 2}, 2, "torchrun", id="ranks"),
        pytest.param({"ranks": 2, "on_ray": True}, 2, "ray", id="on Ray"),
    ],
)
def test_a_run_goes_on_as_it_was_begun(
    kept_in: PlatformEnvironment,
    monkeypatch: pytest.MonkeyPatch,
    digits_config: ConfigBuilder,
    begun: dict[str, Any],
    ranks: int,
    launcher: str,
) -> None:
    options = {"register": True, "test": True, "tracking": True} | begun
    tracking = options.pop("tracking")
    claim_run(kept_in, digits_config(SMALL), run_id="1" if tracking else None, **options)
    found, num_ranks, by = resumed(monkeypatch, kept_in)
    assert (found.register, found.test, found.tracking) == (options["register"], options["test"], tracking)
    assert (num_ranks, by, found.on_ray, found.resume) == (ranks, launcher, launcher == "ray", True)


def claim_run(kept_in: PlatformEnvironment, config: TrainConfig, **values: Any) -> None:
    store = run_store(kept_in, "a")
    assert store is not None
    claim(store, Identity(run_name="a", config=config.as_data(), **values))


def test_what_is_given_again_comes_before_what_was(
    kept_in: PlatformEnvironment, monkeypatch: pytest.MonkeyPatch, digits_config: ConfigBuilder
) -> None:
    claim_run(kept_in, digits_config(SMALL), run_id="1", register=False, test=False, ranks=2)
    found, num_ranks, by = resumed(monkeypatch, kept_in, "--register", "--test", "--ranks", "1", "--no-tracking")
    assert (found.register, found.test, found.tracking, num_ranks, by) == (True, True, False, 1, "local")


def test_a_run_begun_before_this_was_kept_goes_on(
    kept_in: PlatformEnvironment, monkeypatch: pytest.MonkeyPatch, digits_config: ConfigBuilder, tmp_path: Path
) -> None:
    old = {"run_name": "a", "config": digits_config(SMALL).as_data(), "run_id": "1", "experiment_id": "0", "format": 1}
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "run.json").write_text(json.dumps(old))
    found, num_ranks, _ = resumed(monkeypatch, kept_in)
    assert (found.register, found.test, num_ranks) == (True, True, 1)


def test_a_run_keeps_how_it_was_begun(digits_config: ConfigBuilder, kept_in: PlatformEnvironment) -> None:
    run_alone(digits_config(SMALL | {"epochs": 1}), options(tracking=False), kept_in)
    store = run_store(kept_in, "a")
    assert store is not None
    begun = read_identity(store)
    assert begun is not None
    assert (begun.register, begun.test, begun.ranks, begun.on_ray, begun.run_id) == (False, False, 1, False, None)

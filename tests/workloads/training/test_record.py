"""What whole runs leave on the tracking server, also one that was gone for a while."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from mlflow import MlflowClient
from moto import mock_aws
from typer.testing import CliRunner

from tests.workloads.tracking.mlflow_front import DOWN, UP, Front, mlflow_front
from workloads.cli import app
from workloads.config import TrainConfig
from workloads.environment import CHECKPOINTS, TRACKING_URI, PlatformEnvironment
from workloads.errors import Preempted, TrackingError, WorkloadError
from workloads.ranks import Ranks
from workloads.tracking.code_version import code_version
from workloads.tracking.connection import check_server
from workloads.tracking.spool import Point
from workloads.training.options import TrainOptions
from workloads.training.record import repeated_s
from workloads.training.reports import EpochReport
from workloads.training.run import preflight, run

ConfigBuilder = Callable[..., TrainConfig]
OPTIONS = TrainOptions(run_name="a", register=False)
STEPS = [7, 14, 21]
SMALL = {
    "data.num_train": 200,
    "global_batch_size": 32,
    "epochs": 3,
    "tracking.every_s": 0.01,
    "tracking.wait_s": 60,
}


@pytest.fixture
def kept_in(environment: PlatformEnvironment, tmp_path: Path) -> PlatformEnvironment:
    return replace(environment, checkpoints=str(tmp_path / "runs"))


@pytest.fixture
def database(environment: PlatformEnvironment) -> MlflowClient:
    return MlflowClient(tracking_uri=environment.tracking_uri)


@pytest.fixture
def front(environment: PlatformEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    assert environment.tracking_uri
    with mlflow_front(environment.tracking_uri, tmp_path / "artifacts", monkeypatch) as front:
        yield front


def train(
    config: TrainConfig,
    environment: PlatformEnvironment,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
    **changes: Any,
) -> None:
    run(config, replace(OPTIONS, **changes), environment, Ranks(), on_epoch)


def the_run(database: MlflowClient) -> Any:
    experiment = database.get_experiment_by_name("small")
    assert experiment is not None
    [found] = database.search_runs([experiment.experiment_id])
    return found


def steps_of(database: MlflowClient, key: str) -> list[int]:
    return [point.step for point in database.get_metric_history(the_run(database).info.run_id, key)]


def test_a_run_says_what_it_learned_at_what_rate_and_price_and_from_what(
    digits_config: ConfigBuilder, environment: PlatformEnvironment, database: MlflowClient
) -> None:
    priced = replace(environment, price_usd_per_hour="3.6", image_digest="sha256:12", code_version="v1")
    reports: list[EpochReport] = []
    train(digits_config(SMALL), priced, reports.append)
    found = the_run(database)
    metrics, tags = found.data.metrics, found.data.tags
    assert steps_of(database, "val/accuracy") == steps_of(database, "price_usd") == STEPS
    looks = steps_of(database, "train/step_loss")
    assert looks == steps_of(database, "lr") == sorted(set(looks))
    assert set(STEPS) <= set(looks)
    assert metrics["seconds"] == pytest.approx(sum(report.seconds for report in reports))
    assert metrics["price_usd"] == pytest.approx(metrics["seconds"] / 1000)
    assert metrics["wasted_seconds"] == metrics["wasted_usd"] == 0
    assert metrics["num_parameters"] > 100
    assert {"test/accuracy", "test/macro_f1", "test/calibration_error", "images_per_second", "tflop_per_second"} <= set(
        metrics
    )
    assert tags["image_digest"] == "sha256:12"
    assert tags["code_version"] == (code_version() or "v1")
    assert tags["data_version"]
    text = Path(database.download_artifacts(found.info.run_id, "evaluation/test.json")).read_text()
    assert json.loads(text)["accuracy"] == metrics["test/accuracy"]


def test_without_a_price_there_is_none(
    digits_config: ConfigBuilder, environment: PlatformEnvironment, database: MlflowClient
) -> None:
    train(digits_config(SMALL | {"max_steps": 2}), environment)
    assert not {"price_usd", "wasted_usd"} & set(the_run(database).data.metrics)


@pytest.mark.parametrize("given", ["cheap", "-1", "nan", "inf"])
def test_what_is_no_price_is_refused_before_anything_starts(digits_config: ConfigBuilder, given: str) -> None:
    priced = PlatformEnvironment(price_usd_per_hour=given)
    with pytest.raises(WorkloadError, match=rf"MLP_PRICE_USD_PER_HOUR is '{given}'; it must be a number of dollars"):
        preflight(digits_config(), replace(OPTIONS, tracking=False), priced, num_ranks=1)


class Killed(Exception):  # noqa: N818  reads as what happened
    """Stands for the end of the process."""


def test_seconds_that_are_done_again_are_counted_apart(
    digits_config: ConfigBuilder, kept_in: PlatformEnvironment, database: MlflowClient
) -> None:
    seconds: dict[int, float] = {}

    def dies_in_epoch(number: int) -> Callable[[EpochReport], None]:
        def on_epoch(report: EpochReport) -> None:
            seconds[report.epoch] = report.seconds
            if report.epoch == number:
                raise Killed  # after the epoch's record, before its checkpoint

        return on_epoch

    config, priced = digits_config(SMALL | {"epochs": 4}), replace(kept_in, price_usd_per_hour="3600")
    with pytest.raises(Killed):
        train(config, priced, dies_in_epoch(2))
    with pytest.raises(Killed):
        train(config, priced, dies_in_epoch(3), resume=True)
    once = float(the_run(database).data.tags["wasted_seconds"])
    train(config, priced, dies_in_epoch(0), resume=True)
    metrics = the_run(database).data.metrics
    assert 0 < once < metrics["wasted_seconds"]
    assert metrics["wasted_usd"] == pytest.approx(metrics["wasted_seconds"])
    assert metrics["seconds"] == pytest.approx(sum(seconds.values()))
    assert steps_of(database, "val/accuracy") == [*STEPS, 28]


def test_what_began_nobody_knows_when_counts_nothing() -> None:
    point = Point(key="lr", value=0.0, step=20, time_ms=500_000)
    assert repeated_s(point, step=0, saved_at=0, began_at=0) == 0


@pytest.mark.parametrize(
    ("newest", "began_at", "expected"),
    [
        pytest.param((20, 500), 100, 50, id="killed after the checkpoint"),
        pytest.param((20, 500), 480, 20, id="in its second process, which began after the checkpoint"),
        pytest.param((20, 500), 600, 0, id="the second process got no further than the first"),
        pytest.param((10, 500), 100, 0, id="nothing after the checkpoint but looks at the machine"),
        pytest.param(None, 100, 0, id="killed before it recorded anything"),
    ],
)
def test_what_was_done_after_the_checkpoint_is_done_again(
    newest: tuple[int, int] | None, began_at: float, expected: float
) -> None:
    point = Point(key="lr", value=0.0, step=newest[0], time_ms=newest[1] * 1000) if newest else None
    assert repeated_s(point, step=10, saved_at=450, began_at=began_at) == expected


def test_who_is_asked_to_end_wastes_nothing(
    digits_config: ConfigBuilder, kept_in: PlatformEnvironment, database: MlflowClient
) -> None:
    config = digits_config(SMALL)
    with pytest.MonkeyPatch.context() as asked:
        asked.setattr("workloads.stop_request.StopRequest.is_requested", True)
        with pytest.raises(Preempted):
            train(config, kept_in)
    assert the_run(database).info.status == "KILLED"
    train(config, kept_in, resume=True)
    assert the_run(database).data.metrics["wasted_seconds"] == 0
    assert the_run(database).info.status == "FINISHED"


def test_ranks_that_are_started_anew_do_not_need_the_server(
    digits_config: ConfigBuilder, kept_in: PlatformEnvironment, front: Front, database: MlflowClient
) -> None:
    behind = replace(kept_in, tracking_uri=front.uri)

    def die(report: EpochReport) -> None:
        if report.epoch == 2:
            front.mode = DOWN
            raise Killed

    def come_back(report: EpochReport) -> None:
        front.mode = UP

    config = digits_config(SMALL)
    with pytest.raises(Killed):
        train(digits_config(SMALL | {"tracking.wait_s": 0}), behind, die)
    with pytest.raises(TrackingError, match="answered 500"):
        train(config, behind, resume=True)
    run(config, OPTIONS, behind, Ranks(restarts=1), come_back)
    assert steps_of(database, "val/accuracy") == STEPS
    assert the_run(database).data.metrics["wasted_seconds"] > 0
    assert the_run(database).info.status == "FINISHED"


def test_a_server_that_is_gone_for_a_while_costs_the_run_nothing(
    digits_config: ConfigBuilder,
    kept_in: PlatformEnvironment,
    front: Front,
    database: MlflowClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def on_epoch(report: EpochReport) -> None:
        if report.epoch == 1:
            front.shut(DOWN)
        if report.epoch == 3:
            front.mode = UP

    train(digits_config(SMALL), replace(kept_in, tracking_uri=front.uri), on_epoch)
    for key in ("train/loss", "val/accuracy"):
        assert steps_of(database, key) == STEPS
    assert the_run(database).info.status == "FINISHED"
    assert [record.message for record in caplog.records if "tracking.jsonl and is sent later" in record.message]


def test_a_server_that_stays_away_leaves_a_trained_run_whose_record_is_sent_by_a_command(
    digits_config: ConfigBuilder,
    kept_in: PlatformEnvironment,
    front: Front,
    database: MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = digits_config(SMALL | {"tracking.wait_s": 0.1})
    train(config, replace(kept_in, tracking_uri=front.uri), lambda report: front.shut(DOWN))
    assert the_run(database).info.status == "RUNNING"

    front.mode = UP
    monkeypatch.setenv(TRACKING_URI, front.uri)
    monkeypatch.setenv(CHECKPOINTS, str(kept_in.checkpoints))
    output = CliRunner().invoke(app, ["tracking", "send", "a"], catch_exceptions=False).stdout
    assert output.startswith("sent ")
    assert steps_of(database, "val/accuracy") == STEPS
    assert the_run(database).info.status == "FINISHED"
    assert "test/accuracy" in the_run(database).data.metrics
    assert CliRunner().invoke(app, ["tracking", "send", "a"]).stdout == "sent 0 values of a\n"


def test_a_model_that_could_not_be_registered_is_by_a_resume_and_not_trained_again(
    digits_config: ConfigBuilder, kept_in: PlatformEnvironment, front: Front, database: MlflowClient
) -> None:
    config = digits_config(SMALL | {"tracking.wait_s": 0.1})
    behind = replace(kept_in, tracking_uri=front.uri)
    with pytest.raises(
        TrackingError, match=r"a is trained .* not be registered: .*with: python -m workloads train --re"
    ):
        train(config, behind, lambda report: front.shut(DOWN), register=True)
    front.mode = UP
    epochs: list[EpochReport] = []
    train(digits_config(SMALL), behind, epochs.append, resume=True)
    assert epochs == []
    assert the_run(database).info.status == "FINISHED"
    assert steps_of(database, "test/accuracy") == [21]


def keys_of(s3: Any) -> list[str]:
    return [one["Key"] for one in s3.list_objects_v2(Bucket="runs").get("Contents", [])]


def test_what_a_run_in_s3_could_not_send_waits_there(
    digits_config: ConfigBuilder, environment: PlatformEnvironment, front: Front, database: MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    behind = replace(environment, tracking_uri=front.uri, checkpoints="s3://runs")
    config = digits_config(SMALL | {"tracking.wait_s": 0.1})
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="runs")

        def die(report: EpochReport) -> None:
            front.shut(DOWN)
            if report.epoch == 2:
                while f"a/checkpoints/{STEPS[0]:09}.json" not in (names := keys_of(s3)):
                    time.sleep(0.01)
                with_checkpoint.extend(names)
                raise Killed

        with_checkpoint: list[str] = []
        with pytest.raises(Killed):
            train(config, behind, die)
        assert "a/tracking.jsonl" in with_checkpoint, "a machine that is lost now takes the record with it"
        assert steps_of(database, "val/accuracy") == []
        front.mode = UP
        # What a process left that was killed on this machine: a part of the same.
        folder = Path(tempfile.gettempdir()) / f"ml-platform-{os.getuid()}" / the_run(database).info.run_id
        folder.mkdir()
        kept = s3.get_object(Bucket="runs", Key="a/tracking.jsonl")["Body"].read()
        (folder / "tracking.jsonl").write_bytes(kept[:-1])
        train(digits_config(SMALL), behind, resume=True)
        assert not folder.exists()
        names = keys_of(s3)
    assert steps_of(database, "val/accuracy") == STEPS
    assert "a/result.json" in names
    assert "a/tracking.jsonl" not in names


@pytest.mark.parametrize(
    ("run_name", "message"),
    [
        pytest.param("b", "There is no run b in ", id="name"),
        pytest.param("config.yaml", r"config.yaml is not the record of a run", id="file"),
    ],
)
def test_a_record_that_is_not_there_is_named(
    kept_in: PlatformEnvironment, monkeypatch: pytest.MonkeyPatch, run_name: str, message: str
) -> None:
    Path("config.yaml").write_text("seed: 0")
    monkeypatch.setenv(CHECKPOINTS, str(kept_in.checkpoints))
    with pytest.raises(WorkloadError, match=message):
        CliRunner().invoke(app, ["tracking", "send", run_name], catch_exceptions=False)


class Server:
    """`mlflow server` as a process, on a database that is there already."""

    def __init__(self, database_uri: str, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        self.command += ["--backend-store-uri", database_uri, "--artifacts-destination", folder.as_uri()]
        self.command += ["--workers", "1"]
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + 120
        while True:
            try:
                check_server(PlatformEnvironment(tracking_uri=self.uri))
            except TrackingError:
                assert self.process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
            else:
                return

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.mark.slow
def test_a_real_server_that_is_killed_and_started_again_in_the_middle_of_a_run_has_every_point_once(
    digits_config: ConfigBuilder, kept_in: PlatformEnvironment, database: MlflowClient, tmp_path: Path
) -> None:
    assert kept_in.tracking_uri
    server = Server(kept_in.tracking_uri, tmp_path / "artifacts")
    server.start()
    try:

        def on_epoch(report: EpochReport) -> None:
            if report.epoch == 10:
                server.kill()
            if report.epoch == 25:
                server.start()

        config = digits_config(SMALL | {"epochs": 40, "tracking.every_s": 0.1})
        train(config, replace(kept_in, tracking_uri=server.uri), on_epoch)
    finally:
        server.kill()
    for key in ("train/loss", "val/accuracy"):
        assert steps_of(database, key) == [7 * epoch for epoch in range(1, 41)]
    looks = steps_of(database, "train/step_loss")
    assert looks == sorted(set(looks))
    assert set(steps_of(database, "val/accuracy")) <= set(looks)
    assert the_run(database).info.status == "FINISHED"

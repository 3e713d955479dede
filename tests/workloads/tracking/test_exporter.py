"""What Prometheus finds of a run while it trains."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families

from infra.services.metrics import TRAINING_METRICS
from workloads.config import TrainConfig
from workloads.data.datasets import load
from workloads.environment import PlatformEnvironment
from workloads.errors import TrainingDiverged, WorkloadError
from workloads.ranks import Ranks
from workloads.tracking import exporter
from workloads.training.options import TrainOptions
from workloads.training.record import export_step
from workloads.training.reports import EpochReport
from workloads.training.run import preflight, run, train_model

ConfigBuilder = Callable[..., TrainConfig]
OPTIONS = TrainOptions(run_name="digits-1", tracking=False, register=False, test=False)


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def scraped(port: int) -> dict[str, tuple[str, dict[str, float]]]:
    """What a server shows: type and, by run, value of each metric."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        f"{one.name}_total" if one.type == "counter" else one.name: (
            one.type,
            {sample.labels["run"]: sample.value for sample in one.samples},
        )
        for one in families
    }


def train(
    config: TrainConfig, environment: PlatformEnvironment, on_epoch: Callable[[EpochReport], None] = lambda report: None
) -> None:
    run(config, OPTIONS, environment, Ranks(), on_epoch)


def test_a_run_shows_where_it_is_while_it_trains_and_nothing_afterwards(
    digits_config: ConfigBuilder, port: int
) -> None:
    seen: list[tuple[EpochReport, dict[str, tuple[str, dict[str, float]]]]] = []
    train(
        digits_config({"epochs": 3, "max_steps": 50}),
        PlatformEnvironment(metrics_port=str(port)),
        lambda report: seen.append((report, scraped(port))),
    )
    assert [report.step for report, _ in seen] == [21, 42, 50]
    for report, metrics in seen:
        values = {name: values.get("digits-1") for name, (_, values) in metrics.items()}
        assert values[exporter.STEP] == report.step
        assert values[exporter.ACCURACY] == report.validation.accuracy
        assert 0 < (values[exporter.LOSS] or 0) < 5
        assert 0 <= (values[exporter.LEARNING_RATE] or 0) < 0.1
    last = seen[-1][1]
    assert last[exporter.SAMPLES][1]["digits-1"] == sum(report.num_images for report, _ in seen)
    with pytest.raises(urllib.error.URLError):
        scraped(port)


def test_what_it_shows_has_the_names_and_types_that_alerts_and_dashboards_ask_for(port: int) -> None:
    with exporter.served(exporter.RunMetrics("any"), port):
        shown = scraped(port)
    assert {name: kind for name, (kind, _) in shown.items()} == {
        name: text.partition(":")[0] for name, text in TRAINING_METRICS.items()
    }


def test_what_is_not_known_yet_is_not_shown(port: int) -> None:
    metrics = exporter.RunMetrics("any")
    with exporter.served(metrics, port):
        assert not any(values for _, values in scraped(port).values())
        metrics.set({exporter.STEP: 1})
        metrics.set({exporter.STEP: 2, exporter.SAMPLES: 64})
        assert {name: values for name, (_, values) in scraped(port).items() if values} == {
            exporter.STEP: {"any": 2},
            exporter.SAMPLES: {"any": 64},
        }


def test_a_loss_that_is_not_finite_is_shown_before_the_run_ends(digits_config: ConfigBuilder) -> None:
    metrics = exporter.RunMetrics("diverges")
    torch.set_num_threads(1)
    with pytest.raises(TrainingDiverged):
        train_model(
            digits_config({"optim.lr": 1e12}),
            load("digits", PlatformEnvironment()),
            Ranks(),
            torch.device("cpu"),
            lambda report: None,
            lambda report: export_step(metrics, report),
        )
    shown = {sample.name: sample.value for family in metrics.collect() for sample in family.samples}
    assert not torch.tensor(shown[exporter.LOSS]).isfinite()


def test_a_port_that_is_taken_is_a_warning_and_the_run_goes_on(
    digits_config: ConfigBuilder, caplog: pytest.LogCaptureFixture
) -> None:
    epochs: list[EpochReport] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        train(digits_config({"max_steps": 2}), PlatformEnvironment(metrics_port=str(port)), epochs.append)
    assert [report.step for report in epochs] == [2]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"run digits-1 shows no metrics: port {port} cannot be opened" in caplog.text


def test_without_a_port_nothing_is_opened(digits_config: ConfigBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "start_http_server", lambda *_, **__: pytest.fail("a server was started"))
    train(digits_config({"max_steps": 2}), PlatformEnvironment())


@pytest.mark.parametrize("given", ["metrics", "0", "65536", "-1", "80.5"])
def test_what_is_no_port_is_refused_before_anything_starts(digits_config: ConfigBuilder, given: str) -> None:
    with pytest.raises(WorkloadError, match=rf"MLP_METRICS_PORT is '{given}'; it must be a port, 1 to 65535, or unset"):
        preflight(digits_config(), OPTIONS, PlatformEnvironment(metrics_port=given), num_ranks=1)

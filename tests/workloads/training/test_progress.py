from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from typing import Any

import pytest

from workloads.environment import PlatformEnvironment
from workloads.errors import WorkloadError
from workloads.evaluation.counts import Evaluation
from workloads.logs import IN_KUBERNETES, configure_logging, is_json
from workloads.training.progress import JsonLines, progress
from workloads.training.reports import EpochReport, StepReport

EPOCH = EpochReport(
    epoch=1,
    num_epochs=2,
    step=10,
    lr=0.1,
    train_loss=0.5,
    validation=Evaluation(loss=0.4, accuracy=0.75, per_class_accuracy=(0.75,), num_samples=4),
    num_images=640,
    train_seconds=2.0,
    seconds=2.5,
)
LINE = "epoch  1/2  train/loss 0.5000  val/accuracy 0.7500  2.5 s  320 images/s\n"


def step(number: int) -> StepReport:
    return StepReport(step=number, num_steps=20, lr=0.1, loss=0.25, num_images=64 * number)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def stderr_to(written: io.StringIO, *, as_json: bool) -> Iterator[None]:
    """Within it stderr is `written`, and logging is set up as by a command; pytest has both to itself otherwise."""
    root, ours = logging.getLogger(), logging.getLogger("workloads")
    handlers, level = root.handlers[:], ours.level
    root.handlers.clear()
    try:
        with redirect_stderr(written):
            configure_logging(as_json=as_json)
            yield
    finally:
        root.handlers[:] = handlers
        ours.setLevel(level)


def entries(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_who_looks_at_a_terminal_sees_a_bar_below_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with stderr_to(terminal, as_json=False), progress("a", as_json=False) as reporter:
        reporter.on_step(step(5))
        reporter.on_epoch(EPOCH)
        logging.getLogger("workloads.x").warning("a warning")
        reporter.on_step(step(15))
    written = terminal.getvalue()
    assert LINE in written
    assert "a warning\n" in written
    assert "15/20" in written
    assert "loss 0.2500" in written


def test_elsewhere_there_is_a_line_an_epoch() -> None:
    written = io.StringIO()
    with stderr_to(written, as_json=False), progress("a", as_json=False) as reporter:
        reporter.on_step(step(5))
        reporter.on_epoch(EPOCH)
    assert written.getvalue() == LINE


def test_a_pods_log_has_an_object_an_interval_and_an_epoch() -> None:
    written = io.StringIO()
    with stderr_to(written, as_json=True), progress("a", as_json=True) as reporter:
        for number in range(1, 6):
            reporter.on_step(step(number))
        reporter.on_epoch(EPOCH)
    lines = entries(written)
    assert [(line["message"], line["run"], line["step"]) for line in lines] == [("step", "a", 1), ("epoch", "a", 10)]
    assert lines[0] | {"num_steps": 20, "loss": 0.25, "lr": 0.1} == lines[0]
    assert lines[1] | {"val_accuracy": 0.75, "images_per_second": 320.0, "level": "info"} == lines[1]


def test_each_interval_has_its_object() -> None:
    written = io.StringIO()
    with stderr_to(written, as_json=True), JsonLines("a", every_s=0) as reporter:
        for number in (1, 2, 3):
            reporter.on_step(step(number))
    assert [entry["step"] for entry in entries(written)] == [1, 2, 3]


def test_a_loss_that_is_not_a_number_is_json_all_the_same() -> None:
    written = io.StringIO()
    with stderr_to(written, as_json=True), JsonLines("a") as reporter:
        reporter.on_step(replace(step(1), loss=float("nan")))
    assert "NaN" not in written.getvalue()
    assert [entry["loss"] for entry in entries(written)] == ["nan"]


def test_an_exception_in_a_pods_log_is_one_object_too() -> None:
    written = io.StringIO()
    with stderr_to(written, as_json=True):
        try:
            int("wrong")
        except ValueError:
            logging.getLogger("workloads.x").exception("told")
    [entry] = entries(written)
    assert "ValueError: invalid literal" in entry["exception"]


@pytest.mark.parametrize(
    ("given", "in_pod", "expected"),
    [(None, False, False), (None, True, True), ("text", True, False), ("json", False, True)],
)
def test_logs_are_json_in_a_pod_or_on_request(
    monkeypatch: pytest.MonkeyPatch, given: str | None, in_pod: bool, expected: bool
) -> None:
    monkeypatch.delenv(IN_KUBERNETES, raising=False)
    if in_pod:
        monkeypatch.setenv(IN_KUBERNETES, "10.0.0.1")
    assert is_json(PlatformEnvironment(log_format=given)) == expected


def test_a_format_that_there_is_not_is_refused() -> None:
    with pytest.raises(WorkloadError, match="MLP_LOG_FORMAT is 'xml'; it must be json or text, or unset"):
        is_json(PlatformEnvironment(log_format="xml"))

"""Overhead of tracking on training: ours against none, and against `mlflow.log_metric` at every step.

    python -m bench.tracking [--config digits] [--pairs 10] [--steps 60] [--seconds 60]

Starts an MLflow server of its own on a sqlite file; everything is in a temporary folder. First part: blocks of
optimizer steps, each of which records loss and learning rate, alternating no record, ours, and MLflow's call. Ours
sends ten times as often as by default, so that a block has requests. Second part: one run with the defaults, whose
server is stopped (SIGSTOP, so that requests hang) for half of it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import mlflow
import torch

from bench.paired import paired_ratio
from workloads.config import TrainConfig, load_config
from workloads.data.dataset import Dataset
from workloads.data.datasets import load
from workloads.environment import PlatformEnvironment
from workloads.errors import TrackingError
from workloads.evaluation.speed import machine
from workloads.ranks import Ranks
from workloads.tracking import background
from workloads.tracking.background import BackgroundTracker
from workloads.tracking.connection import check_server, connect
from workloads.tracking.spool import FILE, Spool
from workloads.tracking.system import system_metrics
from workloads.tracking.tracker import MlflowTracker
from workloads.tracking.unsent import send_unsent
from workloads.training import trainer
from workloads.training.options import TrainOptions
from workloads.training.reports import StepReport
from workloads.training.run import run, train_model

CPU = torch.device("cpu")
BATCH, WIDTH = 256, 32
OnStep = Callable[[StepReport], None]


@contextmanager
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], PlatformEnvironment]]:
    """Start an MLflow server for as long as the context lasts; yield its process and its environment variables."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", folder.as_uri()]
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    environment = PlatformEnvironment(tracking_uri=f"http://127.0.0.1:{port}", checkpoints=str(folder / "runs"))
    try:
        while True:
            try:
                check_server(environment)
                break
            except TrackingError:
                if process.poll() is not None:
                    raise
                time.sleep(0.2)
        yield process, environment
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


class Block:
    """Some optimizer steps with a call of `on_step` after each: total time, time in `on_step`, CPU time."""

    def __init__(self, config: TrainConfig, dataset: Dataset, on_step: OnStep) -> None:
        self.in_tracker_s = 0.0

        def timed(report: StepReport) -> None:
            started = time.perf_counter()
            on_step(report)
            self.in_tracker_s += time.perf_counter() - started

        cpu = time.process_time()
        trained = train_model(config, dataset, Ranks(), CPU, lambda _: None, timed)
        self.cpu_s = time.process_time() - cpu
        self.seconds = sum(report.train_seconds for report in trained.reports)


def blocks(config: TrainConfig, dataset: Dataset, environment: PlatformEnvironment, folder: Path, pairs: int) -> None:
    """Print the table of the first part."""
    trainer.CHECK_EVERY_STEPS = 1
    torch.set_num_threads(config.num_threads or 1)

    def none() -> Block:
        return Block(config, dataset, lambda _: None)

    def ours() -> Block:
        tracker = MlflowTracker.start(environment, experiment="bench", run_name="ours", params={}, tags={})
        spool = Spool(folder / tracker.run_id / FILE, run_id=tracker.run_id, run_name="ours")
        sample = system_metrics(CPU)
        with spool, BackgroundTracker(tracker, spool, every_s=1, wait_s=60, resend_name="-", sample=sample) as tracker:
            block = Block(
                config, dataset, lambda step: tracker.log_metrics({"loss": step.loss, "lr": step.lr}, step.step)
            )
        check_complete(tracker, "loss", config.max_steps)
        return block

    def naive() -> Block:
        def on_step(step: StepReport) -> None:
            mlflow.log_metric("loss", step.loss, step=step.step)
            mlflow.log_metric("lr", step.lr, step=step.step)

        with mlflow.start_run():
            return Block(config, dataset, on_step)

    connect(environment)
    mlflow.set_experiment("bench")
    arms = {"no record": none, "ours": ours, "mlflow.log_metric": naive}
    for arm in arms.values():  # warm
        arm()
    measured: dict[str, list[Block]] = {name: [] for name in arms}
    for pair in range(pairs):
        for turn in range(len(arms)):  # another is first each time
            name = list(arms)[(pair + turn) % len(arms)]
            measured[name].append(arms[name]())
    print(f"\n{pairs} blocks of {config.max_steps} steps each, batch {config.global_batch_size}\n")
    print("| record at every step | ms a step | in the tracker | time, of none | CPU time, of none |")
    print("|---|---|---|---|---|")
    base = measured["no record"]
    for name, found in measured.items():
        ms = statistics.median(block.seconds for block in found) / (config.max_steps or 1) * 1000
        share = statistics.median(block.in_tracker_s / block.seconds for block in found)
        seconds = paired_ratio([block.seconds for block in found], [block.seconds for block in base])
        cpu = paired_ratio([block.cpu_s for block in found], [block.cpu_s for block in base])
        print(f"| {name} | {ms:.1f} | {share:.2%} | {seconds} | {cpu} |")


def check_complete(tracker: MlflowTracker, key: str, num_steps: int | None) -> None:
    """Raise SystemExit unless the server has each step once."""
    steps = [point.step for point in tracker.client.get_metric_history(tracker.run_id, key)]
    if sorted(steps) != list(range(1, (num_steps or 0) + 1)):
        raise SystemExit(f"{key}: {len(steps)} points on the server for {num_steps} steps")


def whole_run(
    config: TrainConfig, environment: PlatformEnvironment, process: subprocess.Popen[bytes], seconds: int
) -> None:
    """Measure a whole run, and print the results of the second part."""
    trainer.CHECK_EVERY_STEPS = 50
    in_tracker: list[float] = []
    sent: list[float] = []
    log_metrics, send_batch = BackgroundTracker.log_metrics, background.send_batch

    def timed(tracker: BackgroundTracker, *arguments: object) -> None:
        started = time.perf_counter()
        log_metrics(tracker, *arguments)  # type: ignore[arg-type]  # as they came
        if threading.current_thread() is threading.main_thread():
            in_tracker.append(time.perf_counter() - started)

    def counted(client: object, run_id: str, batch: background.Batch) -> None:
        sent.append(time.perf_counter())
        send_batch(client, run_id, batch)  # type: ignore[arg-type]  # as it came

    BackgroundTracker.log_metrics, background.send_batch = timed, counted  # type: ignore[method-assign, assignment]
    stop = threading.Timer(seconds / 4, os.killpg, [process.pid, signal.SIGSTOP])
    go_on = threading.Timer(seconds * 3 / 4, os.killpg, [process.pid, signal.SIGCONT])
    stop.start()
    go_on.start()
    began = time.perf_counter()

    def enough(_: StepReport) -> None:
        if time.perf_counter() - began > seconds:
            raise KeyboardInterrupt

    options = TrainOptions(run_name="whole", register=False, test=False)
    try:
        run(config, options, environment, Ranks(), lambda _: None, enough)
    except KeyboardInterrupt:
        took = time.perf_counter() - began
    go_on.join()
    time.sleep(1)
    num_late = send_unsent(environment, "whole")
    client = connect(environment)
    lines = [json.loads(line) for line in Path(f"{environment.checkpoints}/whole/{FILE}").read_text().splitlines()]
    recorded = sum(len(line.get("metrics", {})) for line in lines)
    run_id = lines[0]["run_id"]
    kept = sum(len(client.get_metric_history(run_id, key)) for key in client.get_run(run_id).data.metrics)
    gaps = [after - before for before, after in pairwise(sent) if after - began < seconds]
    print(f"\nOne run of {took:.0f} s, server stopped from {seconds / 4:.0f} to {seconds * 3 / 4:.0f} s\n")
    print(f"- in the tracker: {sum(in_tracker):.4f} s of the training thread, {sum(in_tracker) / took:.4%}; ")
    print(f"  {len(in_tracker)} calls, median {statistics.median(in_tracker) * 1e6:.0f} us, most "
          f"{max(in_tracker) * 1e6:.0f} us")  # fmt: skip
    print(f"- requests while training: {len(gaps) + 1}, least time between two {min(gaps, default=0):.1f} s")
    print(f"- values recorded {recorded}, on the server {kept}, {num_late} of them sent by `tracking send`")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="digits")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    values = {"max_steps": arguments.steps, "epochs": 10_000, "global_batch_size": BATCH, "model.width": WIDTH}
    config = load_config(arguments.config, values | {"num_threads": 1, "device": "cpu"})
    dataset = load(config.data.name, PlatformEnvironment.read())
    print(f"{machine()}, MLflow {mlflow.__version__}")
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (process, environment):
        os.chdir(folder)
        blocks(config, dataset, environment, Path(folder), arguments.pairs)
        known = replace(environment, data=PlatformEnvironment.read().data)
        whole_run(config.with_values({"max_steps": None}), known, process, arguments.seconds)


if __name__ == "__main__":
    main()

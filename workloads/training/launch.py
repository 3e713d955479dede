"""Ranks on this machine, started and monitored by torchrun's own agent; their failure is reported in one message."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workloads.errors import Preempted, Stopped, TrackingError, WorkloadError
from workloads.ranks import STORE_FILE, num_cores
from workloads.tracking.tracker import end_run

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

    from workloads.config import TrainConfig
    from workloads.environment import PlatformEnvironment
    from workloads.training.options import TrainOptions

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
"""Variable that the agent sets for each rank: the file in which the rank reports why it failed."""
LAUNCHER = "MLP_LAUNCHER_PID"
"""Variable that is set for each rank: the id of the process that started it."""


def launch(arguments: Sequence[str], num_ranks: int, *, max_restarts: int = 0) -> None:
    """Run `python -m workloads <arguments>` as `num_ranks` ranks on this machine alone, and wait for all.

    When one fails the others are terminated, and all are restarted up to `max_restarts` times; then raises
    WorkloadError with the failing rank's own message. A signal to this process is forwarded to the ranks; once they
    have exited raises Preempted if they saved their state, else Stopped.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in list(logging.root.manager.loggerDict):  # torchrun sets a level on each of its loggers
        if name.startswith("torch.distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="workloads-ranks-") as folder:
        os.environ[STORE_FILE] = str(Path(folder) / "ranks")
        os.environ[LAUNCHER] = str(os.getpid())
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, num_cores() // num_ranks)))
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0")
        # The agent offers its own store to the ranks on a port of every interface; ours meet through a file.
        os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=num_ranks,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint=str(Path(folder) / "agent"),
            rdzv_configs={"store_type": "file"},
            max_restarts=max_restarts,
            monitor_interval=0.1,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            local_addr="127.0.0.1",
        )
        Path(folder, "agent").touch()
        try:
            elastic_launch(config, sys.executable)("-m", "workloads", *arguments)
        except ChildFailedError as error:
            for failure in error.failures.values():
                _raise_if_preempted(_report_of(failure))
            raise WorkloadError(failure_message(error.failures)) from error
        except SignalException as error:
            for path in Path(folder).rglob("error.json"):  # one a rank, in a folder of the agent's
                _raise_if_preempted(_report_in(path))
            raise Stopped(int(error.sigval)) from error


def _raise_if_preempted(report: Mapping[str, object]) -> None:
    if report.get("kind") == Preempted.__name__:
        raise Preempted(str(report["text"]))


def _report_in(path: Path) -> Mapping[str, object]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))["message"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return report if isinstance(report, dict) else {}


def train_on_ranks(
    config: TrainConfig, options: TrainOptions, environment: PlatformEnvironment, *, num_ranks: int, as_json: bool
) -> None:
    """Train on `num_ranks` ranks, the first of which prints the result; raise WorkloadError or Stopped.

    Sets the run's status where rank 0 could not: FAILED, or KILLED by a signal to this process.
    """
    with tempfile.TemporaryDirectory(prefix="workloads-run-") as folder:
        path = Path(folder) / f"{config.name}.yaml"
        path.write_text(config.as_yaml(), encoding="utf-8")
        flags = {
            "--json": as_json,
            "--no-tracking": not options.tracking,
            "--register": options.register,
            "--no-register": not options.register,
            "--test": options.test,
            "--no-test": not options.test,
        }
        given_flags = [flag for flag, is_given in flags.items() if is_given]
        try:
            run = ["--resume", options.run_name] if options.resume else [str(path), "--run-name", options.run_name]
            launch(["train", *run, *given_flags], num_ranks, max_restarts=options.max_restarts)
        except (WorkloadError, Stopped) as error:
            if options.tracking:
                status = "KILLED" if isinstance(error, Stopped | Preempted) else "FAILED"
                _set_final_status(config, options, environment, status)
            raise


def _set_final_status(
    config: TrainConfig, options: TrainOptions, environment: PlatformEnvironment, status: str
) -> None:
    """Set the run's status; only log an error of the server, since the training's error is the one to report."""
    try:
        end_run(environment, experiment=config.name, run_name=options.run_name, status=status)
    except TrackingError as error:
        logger.warning("run %s may be shown as running: %s", options.run_name, error)


def is_rank(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process was started by `launch`."""
    return STORE_FILE in environ and ERROR_FILE in environ


def end_with_launcher() -> None:
    """In a rank of ours, have the kernel send SIGTERM when the launcher exits, even if it was killed.

    Exits at once where it is gone already, of which the kernel does not notify.
    """
    if is_rank() and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.environ.get(LAUNCHER, str(os.getppid())) != str(os.getppid()):
            sys.exit(128 + signal.SIGTERM)


def failure_message(failures: Mapping[int, ProcessFailure]) -> str:
    """Return the message of the rank that failed first, rather than of those that only lost it."""

    def precedence(item: tuple[int, ProcessFailure]) -> tuple[int, int, int]:
        rank, failure = item
        kind = _report_of(failure).get("kind")
        ended_by_agent = -failure.exitcode == signal.SIGTERM or failure.exitcode == 128 + signal.SIGTERM
        return (2 if ended_by_agent else 1 if kind == "RankLost" else 0, failure.timestamp, rank)

    rank, failure = min(failures.items(), key=precedence)
    message = _report_of(failure).get("text")
    if message:
        return str(message)
    if failure.exitcode < 0:
        return (
            f"Rank {rank} (process {failure.pid}) was killed by {failure.signal_name()}; the other ranks were ended. "
            "If nobody did that, the machine may be out of memory: use fewer --ranks or a smaller model"
        )
    return f"Rank {rank} ended with exit code {failure.exitcode}; its output is above"


def report_to_agent(error: WorkloadError, environ: Mapping[str, str] = os.environ) -> bool:
    """Write the message for `launch`, which shows it once for all ranks; return False if this is no rank."""
    if not is_rank(environ):
        return False
    report = {"text": str(error), "kind": type(error).__name__, "extraInfo": {"timestamp": str(int(time.time()))}}
    Path(environ[ERROR_FILE]).write_text(json.dumps({"message": report}), encoding="utf-8")
    return True


def _report_of(failure: ProcessFailure) -> Mapping[str, object]:
    message: object = failure.message  # what `report_to_agent` wrote, or the agent's own words for a signal
    return message if isinstance(message, dict) else {}

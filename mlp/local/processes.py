"""The child processes of a platform: start them, find them again and end them, and no others.

Each child carries the home and its service's name in its environment, which its own children inherit. So those of a
`mlp up` that was killed before it could record them are found again.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from mlp.shared.checkout import HOME_VARIABLE
from mlp.shared.errors import PlatformError
from mlp.shared.files import write_private

SERVICE_VARIABLE = "MLP_SERVICE"
GONE = (psutil.NoSuchProcess, FileNotFoundError)
"""Exceptions of psutil for a process that has ended: the second while the kernel still removes it from /proc."""
# What a shell may hold for other platforms, accounts and measurements is not for the services.
_NOT_INHERITED = ("AWS_", "COV_CORE_", "COVERAGE_", "MLFLOW_", "MLP_", "MOTO_", "PG", "RAY_")
_START_TIME_TOLERANCE_S = 2.0  # the clock that start times are counted from may be set; a number is not reused so soon
_MAX_LOG_BYTES = 10 * 1024 * 1024
_POLL_S = 0.05
_GONE_AFTER_KILL_S = 5.0


class _Child(subprocess.Popen[bytes]):
    """A child that is meant to outlive this process, so that its survival is no reason for a warning."""

    def __del__(self) -> None:
        """Do nothing, in place of `Popen`'s warning."""


_children: dict[int, _Child] = {}
"""Children that this process started: a dead one stays in the process table until its parent waits for it."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How a service is started. `environment` comes on top of what is inherited; `user` only works for root.

    `files` are written before, for this user's eyes: settings with passwords in them.
    """

    command: list[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    user: str | None = None
    files: Mapping[Path, str] = field(default_factory=dict, repr=False)

    @property
    def fingerprint(self) -> str:
        """Return a digest that changes with anything for which a running service would have to be restarted."""
        files = sorted((str(path), text) for path, text in self.files.items())
        parts = [self.command, str(self.folder), sorted(self.environment.items()), self.user, files]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def inherited_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the part of this process's environment that a service inherits."""
    return {name: value for name, value in environ.items() if not name.startswith(_NOT_INHERITED)}


def start(launch: Launch, *, service: str, home: Path, log: Path) -> psutil.Process:
    """Start a service in a session of its own, its output appended to `log`; raise PlatformError where that fails."""
    if log.exists() and log.stat().st_size > _MAX_LOG_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
    for path, text in launch.files.items():
        write_private(path, text)
    marks = {HOME_VARIABLE: str(home), SERVICE_VARIABLE: service, "PYTHONUNBUFFERED": "1"}
    account = pwd.getpwnam(launch.user) if launch.user else None
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as output:
        try:
            child = _Child(
                launch.command,
                cwd=launch.folder,
                env={**inherited_environment(), **launch.environment, **marks},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
            )
        except OSError as error:
            raise PlatformError(f"{launch.command[0]} could not be started: {error.strerror}") from error
    _children[child.pid] = child
    return psutil.Process(child.pid)


def alive(process: psutil.Process) -> bool:
    """Return whether `process` still runs; a zombie does not."""
    child = _children.get(process.pid)
    if child is not None and child.poll() is not None:
        return False
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except GONE:
        return False


def exit_description(process: psutil.Process) -> str:
    """Return how a process ended, such as `ended with exit code 1`; as exact as known of one not started here."""
    child = _children.get(process.pid)
    code = child.poll() if child is not None else None
    if code is None:
        return "ended"
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by {signal.Signals(-code).name}"


def recorded(pid: int, created: float) -> psutil.Process | None:
    """Return the living process `pid` if it started at `created` (seconds since the epoch), else None."""
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - created) <= _START_TIME_TOLERANCE_S and alive(process):
            return process
    except GONE:
        pass
    return None


def marked(homes: Collection[str]) -> dict[str, list[psutil.Process]]:
    """Return the living processes that carry the mark of one of `homes`, by service, oldest first."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found: dict[str, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid in own:
                continue
            environment = process.environ()
            service = environment.get(SERVICE_VARIABLE)
            if service and environment.get(HOME_VARIABLE) in homes and alive(process):
                found.setdefault(service, []).append(process)
    for processes in found.values():
        processes.sort(key=psutil.Process.create_time)
    return found


def session_leader(processes: Iterable[psutil.Process]) -> psutil.Process | None:
    """Return the first process that leads its session, as `start` makes them."""
    for process in processes:
        with suppress(ProcessLookupError):
            if os.getsid(process.pid) == process.pid:
                return process
    return None


def process_tree(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return `processes`, their descendants and all in their sessions: some programs overwrite their own marks."""
    members = {process.pid: process for process in processes}
    sessions = {_session(pid) for pid in members} - {None, os.getsid(0)}
    for process in list(members.values()):
        with suppress(*GONE):
            members.update({child.pid: child for child in process.children(recursive=True)})
    members.update({p.pid: p for p in psutil.process_iter() if _session(p.pid) in sessions})
    return [process for process in members.values() if process.pid != os.getpid() and alive(process)]


def end(
    processes: Iterable[psutil.Process],
    *,
    leader: psutil.Process | None,
    stop_signal: signal.Signals,
    grace_s: float,
    kill_grace_s: float = 5.0,
) -> list[psutil.Process]:
    """End `processes` with their families; return those that survive.

    The leader is asked first, by `stop_signal`, and has `grace_s` to end its children in order; the rest gets SIGTERM
    and, after `kill_grace_s`, SIGKILL.
    """
    members = process_tree(processes)
    if leader is not None and alive(leader):
        _signal([leader], stop_signal)
        _wait([leader], grace_s)
    for last_signal, patience_s in ((signal.SIGTERM, kill_grace_s), (signal.SIGKILL, _GONE_AFTER_KILL_S)):
        left = [process for process in members if alive(process)]
        _signal(left, last_signal)
        _wait(left, patience_s)
    return [process for process in members if alive(process)]


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(
            psutil.Error, FileNotFoundError
        ):  # psutil looks at the start time first: a reused number is left alone
            process.send_signal(number)


def _wait(processes: Collection[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(alive(process) for process in processes):
        time.sleep(_POLL_S)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None

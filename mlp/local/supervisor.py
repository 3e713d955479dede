"""Starting and stopping of a platform's services together, whatever state they are found in."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import psutil

from mlp.local.home import Home, locked
from mlp.local.logs import last_lines, size
from mlp.local.observe import Found, ServiceStatus, find, statuses
from mlp.local.ports import choose_ports
from mlp.local.processes import alive, end, exit_description, marked, start
from mlp.local.service import Service, UnhealthyError
from mlp.local.state import PlatformState, ServiceRecord, load_state, save_state
from mlp.shared.errors import PlatformError
from mlp.shared.progress import Progress, during

logger = logging.getLogger(__name__)

_LOCK_WAIT_S = 180.0
_POLL_S = 0.2
_LOG_LINES_SHOWN = 15
_DOWN_ROUNDS = 3  # a process that is born while its parent is ended is found in the next


class _CancelledError(Exception):
    """Cancellation of what is still starting, after another service failed or the user interrupted."""


class Supervisor:
    """The services of one home. `services` come in an order in which each follows what it needs."""

    def __init__(self, home: Home, services: Sequence[Service], progress: Progress, *, recheck_s: float = 5.0) -> None:
        """Take the services; one that runs may fail its check for `recheck_s` before it is restarted."""
        self._home = home
        self._services = services
        self._progress = progress
        self._recheck_s = recheck_s
        self._saving = threading.Lock()
        self._cancelled = threading.Event()
        self._started: list[tuple[Service, psutil.Process]] = []

    def status(self) -> list[ServiceStatus]:
        """Return the status of each service, as its processes and answers tell; change nothing."""
        loaded = load_state(self._home)
        if loaded.damage:
            self._progress.say(f"{loaded.damage}; what runs is found by its marks")
        found = find(self._home, self._services, loaded.state)
        return statuses(_selected(self._services, loaded.state, found), loaded.state, found)

    def up(self, fixed_ports: Mapping[str, int], wanted: Collection[str] = ()) -> list[ServiceStatus]:
        """Start what is not healthy and leave the rest alone; return the status of each service afterwards.

        Optional services are started when `wanted` names them; those that were started before are kept running.

        Raises PlatformError when a service does not start; what this call started is stopped again by then.
        """
        with locked(self._home, wait_s=_LOCK_WAIT_S, on_wait=self._progress.say):
            loaded = load_state(self._home)
            if loaded.damage:
                self._progress.say(f"{loaded.damage}; starting from what runs")
            state = replace(loaded.state, home=str(self._home.path))
            found = find(self._home, self._services, loaded.state)
            services = _selected(self._services, loaded.state, found, wanted)
            self._started.clear()
            self._cancelled.clear()
            try:
                self._end_unusable(state, found, fixed_ports)
                state.ports = self._ports(services, state, found, fixed_ports)
                self._ensure_all(services, state, found)
            except BaseException:
                self._cancelled.set()
                self._roll_back(state)
                raise
            return statuses(services, state, find(self._home, services, state))

    def down(self) -> list[str]:
        """End all processes of the platform and keep its data; return the names of the services that ran.

        Raises PlatformError when something could not be ended.
        """
        lock = locked(self._home, wait_s=_LOCK_WAIT_S, on_wait=self._progress.say)
        with lock if self._home.lock_file.exists() else nullcontext():
            loaded = load_state(self._home)
            state = replace(loaded.state, home=str(self._home.path))
            found = left = find(self._home, self._services, loaded.state)
            for _ in range(_DOWN_ROUNDS):
                self._stop_all(left)
                left = find(self._home, self._services, loaded.state)
                if not any(one.processes for one in left.values()):
                    break
            pids = [str(process.pid) for one in left.values() for process in one.processes]
            if pids:
                raise PlatformError(f"processes {', '.join(pids)} could not be ended; end them by hand (kill -9)")
            unsaved = loaded.damage is not None
            for name, record in state.services.items():
                unsaved |= record.phase != "stopped"
                self._mark_stopped(state, name)
            if unsaved:
                self._save(state)
            return [name for name, one in found.items() if one.processes]

    def _roll_back(self, state: PlatformState) -> None:
        """End what this call started, the last first."""
        found = find(self._home, self._services, state)
        for service, leader in reversed(self._started):
            self._progress.say(f"{service.name}: stopping, since not all could be started")
            self._end(service, leader, [leader, *found[service.name].processes])
            self._mark_stopped(state, service.name)
        with suppress(PlatformError):  # the first fault is the one to tell
            self._save(state)

    def _stop_all(self, found: Mapping[str, Found]) -> None:
        """End every service, those that others need last; `clean_up` runs for each, also where nothing was found."""
        needed = {name for service in self._services for name in service.needs}
        for level in (
            [service for service in self._services if service.name not in needed],
            [service for service in self._services if service.name in needed],
        ):
            with ThreadPoolExecutor(max_workers=max(1, len(level))) as pool:
                list(pool.map(lambda service: self._stop(service, found[service.name]), level))

    def _end_unusable(self, state: PlatformState, found: dict[str, Found], fixed_ports: Mapping[str, int]) -> None:
        """End what is left of services that lost their leader, never finished starting, or are to move."""
        for service in self._services:
            here = found[service.name]
            record = state.services.get(service.name)
            usable = (
                here.leader is not None
                and record is not None
                and (record.pid, record.phase) == (here.leader.pid, "ready")
                and all(name in state.ports for name in service.port_names)
                and all(fixed_ports.get(name, state.ports[name]) == state.ports[name] for name in service.port_names)
            )
            if here.processes and not usable:
                self._stop(service, here)
                found[service.name] = Found(leader=None, processes=[])

    def _ports(
        self,
        services: Sequence[Service],
        state: PlatformState,
        found: Mapping[str, Found],
        fixed_ports: Mapping[str, int],
    ) -> dict[str, int]:
        kept = {
            name: state.ports[name]
            for service in services
            if found[service.name].leader is not None
            for name in service.port_names
        }
        return choose_ports(
            [name for service in services for name in service.port_names],
            home=self._home.path,
            kept=kept,
            fixed=fixed_ports,
            remembered=state.ports,
            say=self._progress.say,
        )

    def _ensure_all(self, services: Sequence[Service], state: PlatformState, found: Mapping[str, Found]) -> None:
        """Start each service as soon as those it needs are ready; the first failure cancels the others."""
        ready = {service.name: threading.Event() for service in services}

        def ensure(service: Service) -> None:
            for name in service.needs:
                while not ready[name].wait(_POLL_S):
                    self._stop_if_cancelled()
            self._ensure(service, state, found[service.name])
            ready[service.name].set()

        with ThreadPoolExecutor(max_workers=len(services)) as pool:
            try:
                futures = [pool.submit(ensure, service) for service in services]
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                self._cancelled.set()
        _raise_first(futures)

    def _ensure(self, service: Service, state: PlatformState, found: Found) -> None:
        launch = service.launch(state.ports)
        if found.leader is not None:
            record = state.services[service.name]
            if record.fingerprint == launch.fingerprint and self._is_well(service, found.leader, state.ports):
                return
            self._progress.say(f"{service.name}: not well, or its settings changed; starting it anew")
            self._stop(service, found)
        began = time.monotonic()
        with during(self._progress, f"{service.name}: starting"):
            self._bring_up(service, state)
        self._record(state, service.name, replace(state.services[service.name], phase="ready"))
        self._progress.say(f"{service.name}: running at {service.url(state.ports)} ({time.monotonic() - began:.1f} s)")

    def _bring_up(self, service: Service, state: PlatformState) -> None:
        log = self._home.log(service.name)
        log_from = size(log)
        try:
            service.prepare()
            self._stop_if_cancelled()
            leader = self._start(service, state, log)
            self._await_check(service, leader, state.ports)
            service.initialize(state.ports)
        except UnhealthyError as error:
            raise self._failure(service, str(error), log, log_from) from error
        except PlatformError as error:
            raise PlatformError(f"{service.name}: {error}") from error
        except OSError as error:
            place = error.filename or self._home.path
            raise PlatformError(
                f"{service.name}: {error.strerror or error} ({place}); fix that and run it again"
            ) from error

    def _is_well(self, service: Service, leader: psutil.Process, ports: Mapping[str, int]) -> bool:
        deadline = time.monotonic() + self._recheck_s
        while alive(leader):
            try:
                service.check(ports)
            except UnhealthyError:
                if time.monotonic() > deadline:
                    return False
                self._stop_if_cancelled()
                time.sleep(_POLL_S)
            else:
                return True
        return False

    def _start(self, service: Service, state: PlatformState, log: Path) -> psutil.Process:
        launch = service.launch(state.ports)  # prepare may have moved what it names
        leader = start(launch, service=service.name, home=self._home.path, log=log)
        self._started.append((service, leader))
        record = ServiceRecord(
            pid=leader.pid,
            created=leader.create_time(),
            command=launch.command,
            fingerprint=launch.fingerprint,
            log=str(log),
            phase="starting",
        )
        self._record(state, service.name, record)
        return leader

    def _await_check(self, service: Service, leader: psutil.Process, ports: Mapping[str, int]) -> None:
        deadline = time.monotonic() + service.start_patience_s
        while True:
            self._stop_if_cancelled()
            if not alive(leader):
                raise UnhealthyError(exit_description(leader))
            try:
                service.check(ports)
            except UnhealthyError as error:
                if time.monotonic() > deadline:
                    raise UnhealthyError(f"not ready after {service.start_patience_s:.0f} s: {error}") from error
                time.sleep(_POLL_S)
            else:
                return

    def _failure(self, service: Service, reason: str, log: Path, log_from: int) -> PlatformError:
        lines = "".join(f"\n  {line}" for line in last_lines(log, _LOG_LINES_SHOWN, start=log_from))
        return PlatformError(f"{service.name} did not start: {reason}\nthe end of {log}:{lines or ' (empty)'}")

    def _stop(self, service: Service, found: Found) -> None:
        if found.processes:
            with during(self._progress, f"{service.name}: stopping"):
                self._end(service, found.leader, found.processes)
        service.clean_up()

    def _end(self, service: Service, leader: psutil.Process | None, processes: list[psutil.Process]) -> None:
        left = end(processes, leader=leader, stop_signal=service.stop_signal, grace_s=service.stop_grace_s)
        # What was born while the others were ended.
        left += marked({str(self._home.path)}).get(service.name, []) + service.unmarked_processes()
        if left and end(left, leader=None, stop_signal=service.stop_signal, grace_s=0):
            logger.error("some processes survived", extra={"service": service.name})

    def _stop_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise _CancelledError

    def _mark_stopped(self, state: PlatformState, name: str) -> None:
        if name in state.services:
            state.services[name] = replace(state.services[name], phase="stopped")

    def _record(self, state: PlatformState, name: str, record: ServiceRecord) -> None:
        with self._saving:
            state.services[name] = record
            save_state(self._home, state)

    def _save(self, state: PlatformState) -> None:
        with self._saving:
            save_state(self._home, state)


def _selected(
    services: Sequence[Service], state: PlatformState, found: Mapping[str, Found], wanted: Collection[str] = ()
) -> list[Service]:
    """Return those of `services` that are to run: all but optional ones that nobody asked for since the last stop."""

    def kept(service: Service) -> bool:
        record = state.services.get(service.name)
        return bool(found[service.name].processes) or (record is not None and record.phase != "stopped")

    return [service for service in services if not service.optional or service.name in wanted or kept(service)]


def _raise_first(futures: Sequence[Future[None]]) -> None:
    faults = [error for future in futures if (error := future.exception()) is not None]
    failures = [error for error in faults if not isinstance(error, _CancelledError)]
    if failures:
        raise failures[0]
    if faults:
        raise PlatformError("the start was interrupted")

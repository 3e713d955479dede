"""Observation of a platform: the processes and their answers decide, the record helps to find them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import psutil

from mlp.local.home import Home
from mlp.local.processes import marked, recorded, session_leader
from mlp.local.service import Service, UnhealthyError
from mlp.local.state import PlatformState, ServiceRecord

Condition = Literal["running", "unhealthy", "dead", "stopped"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """The living processes of a service: its leader, if that lives, and all others that are certainly its own."""

    leader: psutil.Process | None
    processes: list[psutil.Process]


@dataclass(frozen=True, kw_only=True)
class ServiceStatus:
    """One service as it is now. `detail` says why when it is not well."""

    service: str
    condition: Condition
    pid: int | None
    port: int | None
    url: str | None
    detail: str = ""


def find(home: Home, services: Sequence[Service], state: PlatformState) -> dict[str, Found]:
    """Return the living processes of each service."""
    by_mark = marked({str(home.path), state.home})
    found: dict[str, Found] = {}
    for service in services:
        processes = [*by_mark.get(service.name, []), *service.unmarked_processes()]
        record = state.services.get(service.name)
        leader = recorded(record.pid, record.created) if record and record.phase != "stopped" else None
        leader = leader or session_leader(processes)
        if leader is not None:
            processes.insert(0, leader)
        distinct = {process.pid: process for process in processes}
        found[service.name] = Found(leader=leader, processes=list(distinct.values()))
    return found


def statuses(services: Sequence[Service], state: PlatformState, found: dict[str, Found]) -> list[ServiceStatus]:
    """Return the status of each service; those that live are checked, all at once."""
    with ThreadPoolExecutor(max_workers=len(services)) as pool:
        return list(pool.map(lambda one: _status(one, state, found[one.name]), services))


def _status(service: Service, state: PlatformState, found: Found) -> ServiceStatus:
    record = state.services.get(service.name)
    if found.leader is None:
        return _without_leader(service, record, found)
    ports_known = all(name in state.ports for name in service.port_names)
    detail = ""
    if record is None or record.pid != found.leader.pid or not ports_known:
        detail = "it is not on record (an `mlp up` was interrupted?); run `mlp up` or `mlp down`"
    elif record.phase != "ready":
        detail = "its start is not finished"
    else:
        try:
            service.check(state.ports)
        except UnhealthyError as error:
            detail = str(error)
    return ServiceStatus(
        service=service.name,
        condition="unhealthy" if detail else "running",
        pid=found.leader.pid,
        port=state.ports.get(service.port_names[0]),
        url=service.url(state.ports) if ports_known else None,
        detail=detail,
    )


def _without_leader(service: Service, record: ServiceRecord | None, found: Found) -> ServiceStatus:
    condition: Condition = "dead" if record is not None and record.phase != "stopped" else "stopped"
    detail = "it ended without `mlp down`; `mlp logs` shows its last words, `mlp up` starts it" * (condition == "dead")
    if found.processes:
        condition = "dead"
        pids = ", ".join(str(process.pid) for process in found.processes)
        detail = f"its main process is gone, others are left ({pids}); run `mlp up` or `mlp down`"
    return ServiceStatus(service=service.name, condition=condition, pid=None, port=None, url=None, detail=detail)

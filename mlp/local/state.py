"""The record of what `mlp up` started. Where it and the processes disagree, the processes are right."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from mlp.local.home import Home, read_json
from mlp.shared.errors import PlatformError
from mlp.shared.files import write_private

FORMAT = 1
Phase = Literal["starting", "ready", "stopped"]


@dataclass(frozen=True, kw_only=True)
class ServiceRecord:
    """One service as it was last started.

    `created` is the process's start time in seconds since the epoch, which tells it from a later one of the same
    number. `fingerprint` changes with the command and the environment. `phase` is `ready` once its checks had passed.
    """

    pid: int
    created: float
    command: list[str]
    fingerprint: str
    log: str
    phase: Phase


@dataclass(kw_only=True)
class PlatformState:
    """All records of a home, the ports it keeps, and the path it had when this was written."""

    home: str
    ports: dict[str, int] = field(default_factory=dict)
    services: dict[str, ServiceRecord] = field(default_factory=dict)


@dataclass(frozen=True)
class Loaded:
    """The state of a home, and the damage of its file, if any."""

    state: PlatformState
    damage: str | None = None


def load_state(home: Home) -> Loaded:
    """Return the recorded state; an empty one where there is no file or a damaged one (then `damage` says how).

    A home that was moved keeps its records; a copy of a home that still exists has none: the processes are the
    other's. Raises PlatformError for a file that a newer `mlp` wrote.
    """
    empty = PlatformState(home=str(home.path))
    try:
        values = read_json(home.state_file)
    except (FileNotFoundError, NotADirectoryError):
        return Loaded(empty)
    except ValueError as error:
        return Loaded(empty, f"{home.state_file} is damaged ({error})")
    found = values.get("format")
    if isinstance(found, int) and found > FORMAT:
        raise PlatformError(
            f"{home.state_file} has format {found} and this mlp reads up to {FORMAT}; use the newer mlp that wrote it"
        )
    try:
        state = _parse(values)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return Loaded(empty, f"{home.state_file} is damaged ({type(error).__name__}: {error})")
    if state.home != str(home.path) and Path(state.home, home.state_file.name).exists():
        return Loaded(PlatformState(home=str(home.path)))
    return Loaded(state)


def save_state(home: Home, state: PlatformState) -> None:
    """Write the record, atomically."""
    write_private(home.state_file, json.dumps({"format": FORMAT, **asdict(state)}, indent=2) + "\n")


def _parse(values: dict[str, Any]) -> PlatformState:
    if values.get("format") != FORMAT:
        raise ValueError(f"format is {values.get('format')!r}")
    state = PlatformState(home=str(values["home"]))
    state.ports = {str(name): int(port) for name, port in values["ports"].items()}
    for name, record in values["services"].items():
        known = {f.name: record[f.name] for f in fields(ServiceRecord)}
        state.services[name] = ServiceRecord(**{**known, "pid": int(known["pid"]), "created": float(known["created"])})
    return state

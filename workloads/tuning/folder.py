"""A search's own folder in the location of checkpoints, from which a search that was killed resumes.

`search.json` is the search's identity, `attempts/` has the processes that worked on it, `trials/<number>/` a trial:
`trial.json` its parameters from before it began, `checkpoints/` its state while it runs, `result.json` its result.
Writes are atomic, and all files but the checkpoints are written once.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from workloads.checkpoints.store import Store, child_location, open_store
from workloads.config import TrainConfig, read_config
from workloads.environment import CHECKPOINTS, PlatformEnvironment
from workloads.errors import SearchError
from workloads.tracking.connection import LOGIN_STEP
from workloads.tuning.options import SearchOptions
from workloads.tuning.states import WAITING
from workloads.tuning.trials import Trial

SEARCH, RESULT = "search.json", "result.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class SearchIdentity:
    """What identifies a search: written when it begins."""

    name: str
    config: Mapping[str, Any]
    """The search's config as nested plain values."""
    options: Mapping[str, Any]
    """The search's options as plain values."""
    run_id: str | None = None
    """Id of its run on the tracking server; None without tracking."""
    experiment_id: str | None = None
    """Id of its experiment on the tracking server; None without tracking."""
    format: int = FORMAT

    @property
    def train_config(self) -> TrainConfig:
        """Config of its trials, before parameters are sampled."""
        return read_config(self.config, {}, source=f"Config of search {self.name}")

    @property
    def search_options(self) -> SearchOptions:
        """Options with which it began."""
        return SearchOptions(**self.options)


class SearchFolder:
    """The files of one search."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.store: Store = open_store(place)

    @classmethod
    def of(cls, environment: PlatformEnvironment, name: str) -> SearchFolder | None:
        """Return the search's folder; None where no location is configured."""
        place = environment.checkpoints
        if place is None:
            return None
        if "://" not in place:
            place = os.path.realpath(place)  # workers may have another working directory
        return cls(child_location(place, name))

    def claim(self, identity: SearchIdentity) -> None:
        """Claim the folder for a new search; raise SearchError if its name is taken."""
        if not self.store.write_new(SEARCH, _json(asdict(identity))):
            raise name_taken(identity.name)

    def identity(self) -> SearchIdentity | None:
        """Return the search whose folder this is, if any; raise SearchError if its file cannot be read."""
        data = self._read(SEARCH)
        if data is None:
            return None
        if data.get("format", 0) > FORMAT:
            raise SearchError(f"{self.place} is of format {data['format']}; this code reads up to {FORMAT}")
        try:
            return SearchIdentity(**data)
        except TypeError as error:
            raise SearchError(f"{self.place}/{SEARCH} cannot be read ({error}); start a new search") from error

    def begin_attempt(self) -> int:
        """Register this process and return its number, from 1; raise SearchError while another one works."""
        attempts = self.store.names("attempts/")
        newest = self._read(attempts[-1]) if attempts else None
        me = psutil.Process()
        if newest and newest["host"] == socket.gethostname() and newest["pid"] != me.pid and _is_alive(newest):
            raise SearchError(f"Process {newest['pid']} on this machine works on the search; end it first, or wait")
        number = len(attempts) + 1
        attempt = {"host": socket.gethostname(), "pid": me.pid, "process_began": me.create_time(), "at": time.time()}
        if not self.store.write_new(f"attempts/{number:04}.json", _json(attempt)):
            raise SearchError("Another process began to work on the search at this moment; leave it to that one")
        return number

    def begin(self, trial: Trial) -> None:
        """Write a trial's parameters before it runs."""
        self.store.write(f"{_trial(trial.number)}/trial.json", _json({"number": trial.number, "params": trial.params}))

    def end(self, trial: Trial) -> None:
        """Write a trial's result, and delete its state."""
        folder = _trial(trial.number)
        self.store.write(f"{folder}/{RESULT}", _json(trial.as_data()))
        state = open_store(self.state_location(trial))
        for name in state.names("checkpoints/"):
            state.delete(name)

    def trials(self) -> list[Trial]:
        """Return all trials in order: finished ones with their result, the others waiting."""
        names = [name for name in self.store.names("trials/") if name.endswith((f"/{RESULT}", "/trial.json"))]
        found: dict[int, Trial] = {}
        for name in sorted(names, key=lambda name: name.endswith(RESULT)):
            data = self._read(name) or {}
            if name.endswith(RESULT):
                found[data["number"]] = Trial.of(data)
            else:
                found[data["number"]] = Trial(number=data["number"], params=data["params"], state=WAITING)
        return [found[number] for number in sorted(found)]

    def state_location(self, trial: Trial) -> str:
        """Return the location of a trial's state while it runs."""
        return child_location(self.place, _trial(trial.number))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Mark the search as finished."""
        self.store.write(RESULT, _json(result))

    @property
    def is_finished(self) -> bool:
        """Whether the search is marked as finished."""
        return self.store.read(RESULT) is not None

    def _read(self, name: str) -> dict[str, Any] | None:
        text = self.store.read(name)
        if text is None:
            return None
        try:
            data = json.loads(text)
        except ValueError as error:
            raise SearchError(f"{self.place}/{name} cannot be read ({error}); start a new search") from error
        if not isinstance(data, dict):
            raise SearchError(f"{self.place}/{name} cannot be read: it is no JSON object; start a new search")
        return data


def name_taken(name: str) -> SearchError:
    """Return the error for a new search whose name is taken."""
    return SearchError(f"Search {name} exists already; resume it with --resume {name}, or choose another --run-name")


def can_resume(environment: PlatformEnvironment, name: str, config: TrainConfig) -> bool:
    """Return whether the search of that name can be resumed; raise SearchError if it finished or differs."""
    folder = SearchFolder.of(environment, name)
    if folder is None or folder.identity() is None:
        return False
    _, identity = unfinished(environment, name)
    if identity.train_config != config:
        raise name_taken(name)
    return True


def unfinished(environment: PlatformEnvironment, name: str) -> tuple[SearchFolder, SearchIdentity]:
    """Return a search that can be resumed; raise SearchError where there is none of that name, or it finished."""
    folder = SearchFolder.of(environment, name)
    if folder is None:
        raise SearchError(
            f"{CHECKPOINTS} is not set, so no search can be resumed; set it to the folder or s3:// prefix that holds "
            f"searches, or {LOGIN_STEP}"
        )
    identity = folder.identity()
    if identity is None:
        raise SearchError(f"There is no search {name} in {environment.checkpoints}; a search's folder has its name")
    if folder.is_finished:
        raise SearchError(f"Search {name} is finished and cannot be resumed; start a new search")
    return folder, identity


def _trial(number: int) -> str:
    return f"trials/{number:05}"


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, indent=1).encode()


def _is_alive(attempt: Mapping[str, Any]) -> bool:
    try:
        process = psutil.Process(attempt["pid"])
        return abs(process.create_time() - attempt["process_began"]) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

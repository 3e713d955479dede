"""The history of aliases: a numbered file per move (who gave which version which alias, when and why), written once.

The current aliases follow from the moves alone, so they can be repaired on the tracking server, which keeps no history
and lets the last writer win. Of two concurrent decisions, one gets the next number.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import secrets
import socket
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from workloads.checkpoints.store import Store, child_location, open_store
from workloads.environment import REGISTRY, PlatformEnvironment
from workloads.errors import CheckpointError, RegistryError
from workloads.registry.versions import PRODUCTION, STAGING

PROMOTE, ROLLBACK, FOUND = "promote", "rollback", "found"
"""Kinds of moves; `found` records the version in production when the history began."""
READERS = 16
"""Moves that are read concurrently: from S3 each takes some 20 ms."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """The move of an alias from one version to another."""

    kind: str
    alias: str
    from_version: int | None
    to_version: int
    by: str
    why: str = ""
    evidence: Mapping[str, Any] | None = None
    """The verdict, the address of its artifact, and whether it was overruled."""
    seq: int = 0
    """Number of the move, from 1."""
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """Time of the move, ISO 8601 in UTC."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """Random token by which a writer recognises its own move."""

    def __str__(self) -> str:
        was = "none" if self.from_version is None else self.from_version
        return f"move {self.seq} ({self.kind}, {self.alias} {was} -> {self.to_version}, by {self.by} at {self.time})"


@dataclass(frozen=True, kw_only=True)
class AliasState:
    """The aliases after some moves."""

    served: tuple[int, ...] = ()
    """Versions in production in order, the current one last; a rollback removes from the end."""
    ever_served: frozenset[int] = frozenset()
    """All versions that were ever in production."""
    staging: int | None = None
    """The version in staging; None if no move made one so."""

    @property
    def production(self) -> int | None:
        """The version in production."""
        return self.served[-1] if self.served else None

    def before(self, existing: Iterable[int]) -> int | None:
        """Return the version in production before the current one, among those that still exist."""
        there = set(existing) - {self.production}
        return next((number for number in reversed(self.served[:-1]) if number in there), None)


def replay(moves: Iterable[Move]) -> AliasState:
    """Return the state of the aliases after all of the moves."""
    served: list[int] = []
    ever_served: set[int] = set()
    staging = None
    for move in moves:
        if move.alias == STAGING:
            staging = move.to_version
            continue
        if move.kind == ROLLBACK:
            served.pop()
            while served and served[-1] != move.to_version:  # those between were deleted when it was made
                served.pop()
        else:
            served.append(move.to_version)
        ever_served.add(move.to_version)
    return AliasState(served=tuple(served), ever_served=frozenset(ever_served), staging=staging)


class History:
    """The moves of one registered model."""

    def __init__(self, store: Store, place: str) -> None:
        self.place = place
        self._store, self._moves = store, list[Move]()

    def moves(self) -> list[Move]:
        """Return all moves, the oldest first; raise RegistryError if one is missing or damaged."""
        if not self._moves:
            count = sum(re.fullmatch(r"\d+\.json", name) is not None for name in self._store.names(""))
            numbers = range(1, count + 1)
            with ThreadPoolExecutor(READERS) as pool:
                self._moves = list(map(self._parsed, numbers, pool.map(self._read, numbers)))
        while (data := self._read(len(self._moves) + 1)) is not None:
            self._moves.append(self._parsed(len(self._moves) + 1, data))
        return list(self._moves)

    def add(self, move: Move, *, after: int) -> Move:
        """Write the move as the one after number `after`; raise RegistryError if another came first."""
        move = replace(move, seq=after + 1)
        data = json.dumps(asdict(move), indent=2).encode()
        # S3's client retries after a lost response and is then refused because of its own write.
        if not self._store.write_new(_name(move.seq), data) and self._read(move.seq) != data:
            first = self.moves()[after:]
            reason = f"{first[0]} came first" if first else "another move was being made"
            raise RegistryError(
                f"{move.alias} was not given to version {move.to_version}: {reason}, and this decision did not know of "
                "it; look at `python -m workloads registry history`, and run the command again if it still should"
            )
        return move

    def _read(self, seq: int) -> bytes | None:
        return self._store.read(_name(seq))

    def _parsed(self, seq: int, data: bytes | None) -> Move:
        place = child_location(self.place, _name(seq))
        if data is None:
            raise RegistryError(f"{place} is missing, and later moves are there; put it back from a backup")
        try:
            move = Move(**json.loads(data))
        except (ValueError, TypeError) as error:
            raise RegistryError(f"{place} is no move ({error}); put it back from a backup") from error
        if move.seq != seq or move.alias not in (PRODUCTION, STAGING):
            raise RegistryError(f"{place} holds {move}; put it back from a backup")
        return move


def open_history(environment: PlatformEnvironment, model_name: str) -> History:
    """Open the history of a model at the configured location; raise RegistryError if none is configured."""
    if environment.registry is None:
        raise RegistryError(
            f'{REGISTRY} is not set; run `eval "$(mlp env)"`, or set it to a folder or s3://BUCKET/PREFIX that keeps '
            "the moves of aliases, the same for everybody who makes them"
        )
    place = child_location(environment.registry, quote(model_name, safe=""))
    try:
        return History(open_store(place), place)
    except CheckpointError:
        raise RegistryError(
            f"{REGISTRY} is {environment.registry}; it must be a folder or s3://BUCKET/PREFIX"
        ) from None


def this_user() -> str:
    """Return user and machine, by which a move records who made it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _name(seq: int) -> str:
    return f"{seq:08d}.json"

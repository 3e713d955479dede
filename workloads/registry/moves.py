"""Who gave which version which alias, when and why: a file a move, numbered, written once and never changed.

What holds an alias now follows from the moves alone, so that they can mend it on the tracking server, which keeps no
history and lets the last writer win. Of two that decide at once, one gets the next number.
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

from workloads.checkpoints.store import Store, below, open_store
from workloads.environment import REGISTRY, PlatformEnvironment
from workloads.errors import CheckpointError, RegistryError
from workloads.registry.versions import PRODUCTION, STAGING

PROMOTE, ROLLBACK, FOUND = "promote", "rollback", "found"
"""`found`: production as it was when the history began."""
READERS = 16
"""Moves that are read at once: from S3 each takes some 20 ms."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """An alias going from one version to another."""

    kind: str
    alias: str
    from_version: int | None
    to_version: int
    by: str
    why: str = ""
    evidence: Mapping[str, Any] | None = None
    """The verdict, its artifact's address, and whether it was overruled."""
    seq: int = 0
    """From 1."""
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """By which a writer knows its own move again."""

    def __str__(self) -> str:
        was = "none" if self.from_version is None else self.from_version
        return f"move {self.seq} ({self.kind}, {self.alias} {was} -> {self.to_version}, by {self.by} at {self.time})"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Which version holds what, after some moves."""

    served: tuple[int, ...] = ()
    """Versions in production, the present one last; a rollback takes from the end."""
    ever: frozenset[int] = frozenset()
    """All that were in production."""
    staging: Move | None = None
    """The last move of that alias, which training sets too."""

    @property
    def production(self) -> int | None:
        """The version that is served."""
        return self.served[-1] if self.served else None

    def before(self, existing: Iterable[int]) -> int | None:
        """The version in production before the present one; one of those that still exist."""
        there = set(existing) - {self.production}
        return next((number for number in reversed(self.served[:-1]) if number in there), None)


def replay(moves: Iterable[Move]) -> Standing:
    """What holds after all of the moves, from the first on."""
    served: list[int] = []
    ever: set[int] = set()
    staging = None
    for move in moves:
        if move.alias == STAGING:
            staging = move
            continue
        if move.kind == ROLLBACK:
            served.pop()
            while served and served[-1] != move.to_version:  # those between were deleted when it was made
                served.pop()
        else:
            served.append(move.to_version)
        ever.add(move.to_version)
    return Standing(served=tuple(served), ever=frozenset(ever), staging=staging)


class History:
    """The moves of one registered model."""

    def __init__(self, store: Store, place: str) -> None:
        self.place = place
        self._store, self._moves = store, list[Move]()

    def moves(self) -> list[Move]:
        """All of them, the oldest first; raises RegistryError if one is missing or damaged."""
        if not self._moves:
            count = sum(re.fullmatch(r"\d+\.json", name) is not None for name in self._store.names(""))
            numbers = range(1, count + 1)
            with ThreadPoolExecutor(READERS) as pool:
                self._moves = list(map(self._parsed, numbers, pool.map(self._read, numbers)))
        while (data := self._read(len(self._moves) + 1)) is not None:
            self._moves.append(self._parsed(len(self._moves) + 1, data))
        return list(self._moves)

    def add(self, move: Move, *, after: int) -> Move:
        """Write the move as the one after number `after`; raises RegistryError if another came first."""
        move = replace(move, seq=after + 1)
        data = json.dumps(asdict(move), indent=2).encode()
        # S3's client asks again after a lost answer and is then refused, by what it wrote itself.
        if not self._store.write_new(_name(move.seq), data) and self._read(move.seq) != data:
            first = self.moves()[after:]
            told = f"{first[0]} came first" if first else "another move was being made"
            raise RegistryError(
                f"{move.alias} was not given to version {move.to_version}: {told}, and this decision did not know of "
                "it; look at `python -m workloads registry history`, and run the command again if it still should"
            )
        return move

    def _read(self, seq: int) -> bytes | None:
        return self._store.read(_name(seq))

    def _parsed(self, seq: int, data: bytes | None) -> Move:
        place = below(self.place, _name(seq))
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
    """The moves of a model, in the place that the environment names; raises RegistryError if it names none."""
    if environment.registry is None:
        raise RegistryError(
            f'{REGISTRY} is not set; run `eval "$(mlp env)"`, or set it to a folder or s3://BUCKET/PREFIX that keeps '
            "the moves of aliases, the same for everybody who makes them"
        )
    place = below(environment.registry, quote(model_name, safe=""))
    try:
        return History(open_store(place), place)
    except CheckpointError:
        raise RegistryError(
            f"{REGISTRY} is {environment.registry}; it must be a folder or s3://BUCKET/PREFIX"
        ) from None


def this_user() -> str:
    """User and machine, by which a move says who made it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _name(seq: int) -> str:
    return f"{seq:08d}.json"

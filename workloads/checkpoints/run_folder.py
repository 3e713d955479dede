"""A run's own folder in the store: who claimed its name, with what config, and whether it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from workloads.checkpoints.store import Store
from workloads.errors import CheckpointError

IDENTITY = "run.json"
RESULT = "result.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A run as it was when it began; it stays that run however often it goes on."""

    run_name: str
    config: Mapping[str, Any]
    """Nested plain values."""
    run_id: str | None = None
    """Its record on the tracking server, and the experiment's; None without tracking."""
    experiment_id: str | None = None
    format: int = FORMAT


def claim(store: Store, identity: Identity) -> None:
    """Make the store's folder that of a new run; raises CheckpointError if its name is taken."""
    if not store.write_new(IDENTITY, json.dumps(asdict(identity), indent=2).encode()):
        raise taken(identity.run_name)


def taken(run_name: str) -> CheckpointError:
    """What to tell who wants to begin a run that exists."""
    return CheckpointError(
        f"Run {run_name} exists already; go on with it by --resume {run_name}, or choose another --run-name"
    )


def identity_of(store: Store) -> Identity | None:
    """The run that claimed the folder, if any; raises CheckpointError if that cannot be read."""
    text = store.read(IDENTITY)
    if text is None:
        return None
    try:
        data = json.loads(text)
        found = Identity(**data)
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{IDENTITY} of the run cannot be read ({error}); start a new run") from error
    if found.format > FORMAT:
        raise CheckpointError(f"Run {found.run_name} is of format {found.format}; this code reads up to {FORMAT}")
    return found


def finish(store: Store, result: Mapping[str, Any]) -> None:
    """Say that the run reached its end."""
    store.write(RESULT, json.dumps(result, indent=2).encode())


def is_finished(store: Store) -> bool:
    """Whether it did."""
    return store.read(RESULT) is not None

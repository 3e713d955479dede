"""A run's own folder in the store: its name and config, and whether it finished."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from workloads.checkpoints.store import Store, child_location, open_store
from workloads.environment import PlatformEnvironment
from workloads.errors import CheckpointError

IDENTITY = "run.json"
RESULT = "result.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What identifies a run: written when it begins, unchanged however often it is resumed."""

    run_name: str
    config: Mapping[str, Any]
    """The run's config as nested plain values."""
    run_id: str | None = None
    """Id of the run on the tracking server; None without tracking."""
    experiment_id: str | None = None
    """Id of its experiment on the tracking server; None without tracking."""
    register: bool = True
    """Whether the model is registered at the end."""
    test: bool = True
    """Whether the model is evaluated on the test images at the end."""
    ranks: int = 1
    """Number of ranks with which the run began."""
    on_ray: bool = False
    """Whether the run began on a Ray cluster."""
    format: int = FORMAT


def run_store(environment: PlatformEnvironment, run_name: str) -> Store | None:
    """Return the store of the run's files; None where no location is configured."""
    return open_store(child_location(environment.checkpoints, run_name)) if environment.checkpoints else None


def claim(store: Store, identity: Identity) -> None:
    """Claim the store's folder for a new run; raise CheckpointError if its name is taken."""
    if not store.write_new(IDENTITY, json.dumps(asdict(identity), indent=2).encode()):
        raise name_taken(identity.run_name)


def name_taken(run_name: str) -> CheckpointError:
    """Return the error for a new run whose name is taken."""
    return CheckpointError(
        f"Run {run_name} exists already; resume it with --resume {run_name}, or choose another --run-name"
    )


def read_identity(store: Store) -> Identity | None:
    """Return the run that claimed the folder, if any; raise CheckpointError if its file cannot be read."""
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


def mark_finished(store: Store, result: Mapping[str, Any]) -> None:
    """Mark the run as finished."""
    store.write(RESULT, json.dumps(result, indent=2).encode())


def is_finished(store: Store) -> bool:
    """Return whether the run is marked as finished."""
    return store.read(RESULT) is not None

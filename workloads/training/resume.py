"""Runs by name in the location of checkpoints: those that may begin, those that can be resumed."""

from __future__ import annotations

from workloads.checkpoints.run_folder import Identity, is_finished, name_taken, read_identity, run_store
from workloads.config import TrainConfig, read_config
from workloads.environment import CHECKPOINTS, PlatformEnvironment
from workloads.errors import CheckpointError
from workloads.tracking.connection import LOGIN_STEP


def check_new(environment: PlatformEnvironment, run_name: str) -> None:
    """Raise CheckpointError if there is such a run already."""
    store = run_store(environment, run_name)
    if store is not None and read_identity(store) is not None:
        raise name_taken(run_name)


def can_resume(environment: PlatformEnvironment, run_name: str, config: TrainConfig) -> bool:
    """Return whether the run of that name can be resumed; raise CheckpointError if it finished or differs."""
    store = run_store(environment, run_name)
    if store is None or read_identity(store) is None:
        return False
    if config_of(unfinished(environment, run_name)) != config:
        raise name_taken(run_name)
    return True


def unfinished(environment: PlatformEnvironment, run_name: str) -> Identity:
    """Return a run that can be resumed; raise CheckpointError where there is none of that name, or it finished."""
    store = run_store(environment, run_name)
    if store is None:
        raise CheckpointError(
            f"{CHECKPOINTS} is not set, so no run can be resumed; set it to the folder or s3:// prefix that holds the "
            f"runs, or {LOGIN_STEP}"
        )
    identity = read_identity(store)
    if identity is None:
        raise CheckpointError(f"There is no run {run_name} in {environment.checkpoints}; a run's folder has its name")
    if is_finished(store):
        raise CheckpointError(f"Run {run_name} is finished and cannot be resumed; start a new run")
    return identity


def config_of(identity: Identity) -> TrainConfig:
    """Return the config with which the run began."""
    return read_config(identity.config, {}, source=f"Config of run {identity.run_name}")

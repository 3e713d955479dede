"""A search: trials drawn from the config's space, run by Ray Tune under ASHA, the best by validation accuracy."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workloads.config import TrainConfig
from workloads.data.datasets import data_folder, find
from workloads.environment import DATA, RAY_ADDRESS, PlatformEnvironment
from workloads.errors import SearchError
from workloads.registry.versions import VALIDATION_ACCURACY
from workloads.stop_request import StopRequest
from workloads.tracking.connection import check_server
from workloads.tracking.tracker import PARENT_TAG, MlflowTracker, NoTracking
from workloads.training.run import new_run_name
from workloads.tuning.space import Dimension
from workloads.tuning.states import FAILED

CONNECT_TIMEOUT_S = 5
# How a gRPC client begins, with an empty SETTINGS frame, and the type of the frame by which a server replies to it
# (https://www.rfc-editor.org/rfc/rfc9113#section-3.4).
HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
HTTP2_SETTINGS = bytes((4,))
LOCAL_CPUS = 2
# Set before Ray is imported: no usage reports, no log files and no tables of Tune's own (stdout is for our results).
RAY_DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How much is searched."""

    num_trials: int = 6
    max_concurrent: int | None = None
    """Trials at once; as many as there are CPUs if None."""
    tracking: bool = True


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """One trial."""

    name: str
    run_id: str | None
    params: Mapping[str, object]
    val_accuracy: float | None
    epochs: int
    state: str


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """A finished search."""

    run_id: str | None
    trials: list[TrialResult]
    best: TrialResult
    seconds: float


def search(config: TrainConfig, options: SearchOptions, environment: PlatformEnvironment) -> SearchResult:
    """Run the trials and return them with the best; raises SearchError if none ended well, or WorkloadError."""
    check(config, options, environment)
    started = time.perf_counter()
    name = new_run_name(config)
    with ExitStack() as stack:
        parent: MlflowTracker | NoTracking = NoTracking()
        if options.tracking:
            parent = stack.enter_context(
                MlflowTracker.start(
                    environment,
                    experiment=config.name,
                    run_name=f"{name}-search",
                    params=config.flattened() | _space_params(config) | {"num_trials": options.num_trials},
                    tags={"dataset": config.data.name},
                )
            )
            parent.log_text(config.as_yaml(), "config.yaml")
        stop = stack.enter_context(StopRequest())
        stack.enter_context(connected_to_ray(environment))
        stop.listen()  # Ray has a handler of its own, which would end the process with the record left open
        stop.raise_if_made()
        trials = _run_trials(config, options, environment, parent, name, stop)
        best, accuracy = best_of(trials)
        if isinstance(parent, MlflowTracker):
            parent.log_params({f"best.{key}": value for key, value in best.params.items()})
            parent.log_metrics({"best/val/accuracy": accuracy}, step=0)
            parent.set_tags({"best_run_id": best.run_id or "", "best_trial": best.name})
    return SearchResult(run_id=parent.run_id, trials=trials, best=best, seconds=time.perf_counter() - started)


def best_of(trials: Sequence[TrialResult]) -> tuple[TrialResult, float]:
    """The trial with the highest validation accuracy, and that; raises SearchError if every trial failed."""
    ended_well = [(t.val_accuracy, t) for t in trials if t.val_accuracy is not None and t.state != FAILED]
    if not ended_well:
        raise SearchError(
            f"None of {len(trials)} trials ended well; what each raised is above and in its record: "
            "narrow search.space, optim.lr first"
        )
    accuracy, best = max(ended_well, key=lambda pair: pair[0])
    return best, accuracy


def check(config: TrainConfig, options: SearchOptions, environment: PlatformEnvironment) -> None:
    """Raise WorkloadError, within seconds, where the search could not run."""
    if not config.search.space:
        raise SearchError(
            f"Config {config.name} has no search space; add search.space, such as optim.lr: {{loguniform: [0.01, 1]}}"
        )
    for name, value in (("trials", options.num_trials), ("max-concurrent", options.max_concurrent)):
        if value is not None and value < 1:
            raise SearchError(f"--{name} is {value}; it must be at least 1")
    find(config.data.name, environment)
    if options.tracking:
        check_server(environment, can_go_without=True)
    if environment.ray_address:
        _check_head(environment.ray_address)


@contextmanager
def connected_to_ray(environment: PlatformEnvironment) -> Iterator[None]:
    """Ray at RAY_ADDRESS, or one of our own on this machine, for as long as the context lasts; raises SearchError."""
    for name, value in RAY_DEFAULTS.items():
        os.environ.setdefault(name, value)
    import ray

    variables = {DATA: str(data_folder(environment)), "OMP_NUM_THREADS": "1"}
    arguments: dict[str, Any] = {
        "runtime_env": {"env_vars": variables},
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    if environment.ray_address:
        arguments["address"] = environment.ray_address
    else:
        arguments |= {"address": "local", "num_cpus": LOCAL_CPUS, "include_dashboard": False}
    try:
        try:
            ray.init(**arguments)
        except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
            where = environment.ray_address or "on this machine"
            first_line = str(error).strip().partition("\n")[0]
            raise SearchError(f"Ray {where} could not be used: {first_line}; start it with `mlp up`") from error
        yield
    finally:
        ray.shutdown()


def _run_trials(
    config: TrainConfig,
    options: SearchOptions,
    environment: PlatformEnvironment,
    parent: MlflowTracker | NoTracking,
    name: str,
    stop: StopRequest,
) -> list[TrialResult]:
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.basic_variant import BasicVariantGenerator

    from workloads.tuning.record import SearchRecord
    from workloads.tuning.trial import run_trial

    def open_run(trial_name: str, params: Mapping[str, object]) -> MlflowTracker | NoTracking:
        if not isinstance(parent, MlflowTracker):
            return NoTracking()
        return MlflowTracker.open(
            parent.client,
            parent.experiment_id,
            run_name=f"{name}-{trial_name}",
            params=config.with_values(params).flattened(),
            tags={PARENT_TAG: parent.run_id, "dataset": config.data.name},
        )

    with ExitStack() as stack:
        record = stack.enter_context(SearchRecord(config.epochs, open_run, stop.raise_if_made))
        own_folder = tempfile.TemporaryDirectory(prefix="workloads-search-")
        storage = environment.checkpoints or stack.enter_context(own_folder)
        trainable = tune.with_resources(tune.with_parameters(run_trial, config=config), {"cpu": 1})
        tune.Tuner(
            trainable,
            param_space={key: _domain(dimension) for key, dimension in config.search.space.items()},
            tune_config=tune.TuneConfig(
                metric=VALIDATION_ACCURACY,
                mode="max",
                num_samples=options.num_trials,
                reuse_actors=True,
                search_alg=BasicVariantGenerator(max_concurrent=options.max_concurrent or 0, random_state=config.seed),
                scheduler=ASHAScheduler(
                    max_t=config.epochs,
                    grace_period=min(config.search.grace_epochs, config.epochs),
                    reduction_factor=config.search.reduction_factor,
                ),
            ),
            run_config=tune.RunConfig(
                name=f"{name}-{secrets.token_hex(2)}",
                storage_path=str(Path(storage).resolve()),
                callbacks=[record],
                verbose=0,
            ),
        ).fit()
    return [
        TrialResult(
            name=trial.name,
            run_id=trial.tracker.run_id,
            params=trial.params,
            val_accuracy=trial.val_accuracy,
            epochs=trial.epochs,
            state=trial.state,
        )
        for trial in record.trials
    ]


def _domain(dimension: Dimension) -> Any:
    from ray import tune

    if dimension.kind == "choice":
        return tune.choice(list(dimension.values))
    low, high = (float(str(value)) for value in dimension.values)
    return tune.loguniform(low, high) if dimension.kind == "loguniform" else tune.uniform(low, high)


def _space_params(config: TrainConfig) -> dict[str, object]:
    return {f"search.{key}": str(dimension.as_data()) for key, dimension in config.search.space.items()}


def _check_head(address: str) -> None:
    """Raise SearchError unless a gRPC server answers at a `host:port` address: Ray itself would wait for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return  # `auto` and `local`, which Ray resolves
    try:
        with socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S) as connection:
            connection.sendall(HTTP2_GREETING)
            if connection.recv(4)[3:] != HTTP2_SETTINGS:
                raise ConnectionError("what listens there is no Ray head")
    except (OSError, ValueError) as error:
        raise SearchError(
            f"{RAY_ADDRESS} is {address} and no Ray head answers there ({error}); start it with `mlp up`, "
            f'then run: eval "$(mlp env)"; or unset {RAY_ADDRESS} to search on this machine'
        ) from error

"""The engines that run trials: a Ray cluster, or processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from workloads.config import TrainConfig
from workloads.environment import PlatformEnvironment
from workloads.ranks import num_cores
from workloads.ray_cluster import connected_to_ray
from workloads.tuning import processes
from workloads.tuning.options import OPTUNA, SearchOptions
from workloads.tuning.study import Study
from workloads.tuning.trial import Training


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine that is ready to run trials."""

    num_slots: int
    """Trials that run concurrently."""
    run: Callable[[Study], None]
    """Runs a study's trials to its end."""


@contextmanager
def open_engine(config: TrainConfig, options: SearchOptions, environment: PlatformEnvironment) -> Iterator[Engine]:
    """Open the engine that the options name, for as long as the context lasts; raise ClusterError."""
    if options.engine == OPTUNA:
        slots = min(options.max_concurrent or num_local_slots(config), options.num_trials)
        training = Training(config=config, num_threads=max(1, num_cores() // slots))
        yield Engine(num_slots=slots, run=lambda study: processes.run(study, training, num_workers=slots))
        return
    num_ranks = options.ranks_per_trial
    variables = {} if environment.ray_address else {"GLOO_SOCKET_IFNAME": "lo"}
    with connected_to_ray(environment, num_cpus=max(num_ranks, num_cores()), variables=variables):
        import ray

        from workloads.tuning import on_ray

        def cluster_resources() -> dict[str, float]:
            return ray.cluster_resources()  # type: ignore[no-any-return, no-untyped-call]  # Ray's

        num_gpus = options.gpus_per_trial
        if num_gpus is None:
            num_gpus = float(num_ranks) if cluster_resources().get("GPU") and config.device in ("auto", "cuda") else 0.0
        resources = {"CPU": 1.0} | ({"GPU": num_gpus / num_ranks} if num_gpus else {})

        def num_free_slots() -> int:
            nodes = cluster_resources()
            return max(1, int(min(nodes.get(kind, 0) / amount for kind, amount in resources.items())) // num_ranks)

        training = Training(config=config, num_threads=1)

        def run(study: Study) -> None:
            on_ray.run(
                study,
                training,
                resources=resources,
                num_workers=lambda: options.max_concurrent or num_free_slots(),
                ranks_per_worker=num_ranks,
            )

        yield Engine(
            num_slots=min(num_free_slots(), options.max_concurrent or num_free_slots(), options.num_trials), run=run
        )


def num_local_slots(config: TrainConfig) -> int:
    """Return the trials that this machine runs concurrently: one per core, or one on a GPU."""
    from workloads.ranks import Ranks
    from workloads.training.devices import resolve_device

    return num_cores() if resolve_device(config.device, Ranks()).type == "cpu" else 1

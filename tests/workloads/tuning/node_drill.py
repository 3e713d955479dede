"""A search on a cluster of two nodes, one of which goes while both train: `node_drill.py FOLDER CHANGES AT_EPOCH`.

The cluster and the search have a process each: Ray does not bear a second cluster in one that has used another.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
from ray.cluster_utils import Cluster

from tests.workloads.tuning.objectives import Held
from workloads.config import TrainConfig, load_config
from workloads.environment import PlatformEnvironment
from workloads.tuning import engines
from workloads.tuning.options import SearchOptions
from workloads.tuning.search import search

TIMEOUT_S = 300
NAME = "node"


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


def drill(place: Path, config: TrainConfig, at_epoch: int) -> None:
    steps_per_epoch = -(-int(config.data.num_train or 0) // config.global_batch_size)
    kept = [(at_epoch - 1) * steps_per_epoch] * 2

    def held() -> list[Path]:
        return [path for path in place.glob("held-*") if path.read_text()]

    def kept_steps() -> list[int]:
        return [int(path.stem) for path in place.glob(f"runs/{NAME}/trials/*/checkpoints/*.json")]

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    process = subprocess.Popen([sys.executable, *sys.argv, str(cluster.address)])
    try:
        until(lambda: len(held()) == 1)  # not before: the driver is to be on the head's node
        goes = cluster.add_node(num_cpus=1)
        until(lambda: len(held()) == 2)
        until(lambda: kept_steps() == kept)  # written while the next epoch trains
        workers = [psutil.Process(int(one.read_text())) for one in held()]
        cluster.remove_node(goes, allow_graceful=False)
        until(lambda: not all(one.is_running() for one in workers))
        (place / "go").touch()
        if process.wait(TIMEOUT_S):
            raise ChildProcessError
    finally:
        process.kill()
        cluster.shutdown()


def main() -> None:
    place, config, at_epoch = Path(sys.argv[1]), load_config("digits", json.loads(sys.argv[2])), int(sys.argv[3])
    if len(sys.argv) == 4:
        drill(place, config, at_epoch)
        return
    # A class to the type checker, and none for others to take from there.
    setattr(engines, "Training", partial(Held, place=place, at_epoch=at_epoch))  # noqa: B010
    here = PlatformEnvironment(ray_address=sys.argv[4], checkpoints=str(place / "runs"))
    search(config, SearchOptions(num_trials=2, tracking=False), here, name=NAME)


if __name__ == "__main__":
    main()

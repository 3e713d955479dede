"""Ray's head: in the cluster one for each job, on a laptop one for all."""

from __future__ import annotations

from infra.servers.places import Difference, Settings, sized

VERSION = "2.60.0"
"""Version of the workloads' library; KubeRay is told of it."""

START: Settings = {
    "num-cpus": Difference(
        cluster="0", laptop=None, reason="ranks run on workers with GPUs; a laptop's head is its only node"
    ),
    "object-store-memory": Difference(
        cluster=None,
        laptop=str(512 * 1024 * 1024),
        reason="a laptop has other uses for a third of its memory; data sets lie in the workers",
    ),
}
"""Options of `ray start --head`; addresses and ports come from where it runs."""
ENVIRONMENT: Settings = {"RAY_USAGE_STATS_ENABLED": "0"}
AUTH_MODE = "token"
"""How Ray's servers know their clients; on a laptop too, since Ray listens on all addresses of the machine."""
RESOURCES = sized("1", "4Gi", "4Gi")
"""Size of a job's head, which also runs the command of the job."""

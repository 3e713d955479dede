"""The manifest of a training job: a RayJob that creates its own cluster and deletes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.cluster.node_pools import GPU_TAINT
from infra.cluster.pod_security import RESTRICTED
from infra.services.metrics import TRAINING_PORT_NAME
from infra.settings.workload_settings import TrainingJobSettings

RAY_VERSION = "2.60.0"
_CLUSTER_LABEL = "metadata.labels['ray.io/cluster']"
METRICS_PORT = 8090
"""Port of rank 0's metrics; apart from Ray's own ports (8080 among them)."""
_CACHE = "/cache"
"""Folder of each worker's copies of data sets, on its node's disk."""
_SECONDS_KEPT = 3600
"""Seconds for which a finished job's state and logs can be read."""
_GRACE_S, _DRAIN_S = 110, 95
"""Seconds that a worker is given to end, of a spot node's two minutes, and of that to Ray, which tells the ranks that
their node goes, and waits for them to save what they have."""


def training_job(
    *,
    name: str,
    namespace: str,
    service_account: str,
    image: str,
    command: str,
    environment: Mapping[str, str],
    secret_environment: Mapping[str, tuple[str, str]],
    cluster_variable: str,
    settings: TrainingJobSettings,
) -> dict[str, Any]:
    """Return a ray.io/v1 RayJob for `kubectl create`: each creation is a job of its own, named after `name`.

    `secret_environment` maps a variable to the Secret and the key that hold it. The command runs on the head, which has
    no GPU, and places its ranks on the workers. A worker that is lost is made anew; when the head is lost the job is
    submitted again, once, with a new cluster, of which `cluster_variable` holds the name, `<job>-<random>`.
    """
    variables = [{"name": key, "value": value} for key, value in sorted(environment.items())] + [
        {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": secret_key}}}
        for key, (secret, secret_key) in sorted(secret_environment.items())
    ]
    worker_limits = {
        "cpu": str(settings.cpus),
        "memory": f"{settings.memory_gib}Gi",
        GPU_TAINT: str(settings.gpus),
    }
    head_container = {
        "name": "ray-head",
        "image": image,
        "securityContext": RESTRICTED,
        "env": [*variables, {"name": cluster_variable, "valueFrom": {"fieldRef": {"fieldPath": _CLUSTER_LABEL}}}],
        "resources": {"requests": {"cpu": "1", "memory": "4Gi"}, "limits": {"memory": "4Gi"}},
    }
    worker_container = {
        "name": "ray-worker",
        "image": image,
        "securityContext": RESTRICTED,
        "env": [
            *variables,
            {"name": "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", "value": str(_DRAIN_S)},
            {"name": "XDG_CACHE_HOME", "value": _CACHE},
        ],
        "ports": [{"name": TRAINING_PORT_NAME, "containerPort": METRICS_PORT}],
        "resources": {
            "requests": {**worker_limits, "ephemeral-storage": f"{settings.cache_gib}Gi"},
            "limits": worker_limits,
        },
        # Loader workers pass batches through shared memory, and a container has only 64 MB of it by default.
        "volumeMounts": [
            {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108  the kernel's own path
            {"name": "cache", "mountPath": _CACHE},
        ],
    }
    pod = {"serviceAccountName": service_account, "priorityClassName": "training"}
    worker_pod = {
        **pod,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": _GRACE_S,
        "containers": [worker_container],
        "tolerations": [{"key": GPU_TAINT, "operator": "Exists", "effect": "NoSchedule"}],
        "volumes": [
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
            {"name": "cache", "emptyDir": {"sizeLimit": f"{settings.cache_gib}Gi"}},
        ],
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"generateName": f"{name}-", "namespace": namespace},
        "spec": {
            "entrypoint": command,
            "submissionMode": "K8sJobMode",
            "submitterConfig": {"backoffLimit": 0},  # the default submits a failing job three times
            "backoffLimit": 1,
            "activeDeadlineSeconds": settings.deadline_hours * 3600,
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": _SECONDS_KEPT,
            "rayClusterSpec": {
                "rayVersion": RAY_VERSION,
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0"},
                    "template": {"spec": {**pod, "containers": [head_container]}},
                },
                "workerGroupSpecs": [
                    {
                        "groupName": "gpu",
                        **dict.fromkeys(("replicas", "minReplicas", "maxReplicas"), settings.workers),
                        "rayStartParams": {},
                        "template": {"spec": worker_pod},
                    }
                ],
            },
        },
    }

"""The manifest of a training job: a RayJob that creates its own cluster and deletes it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from infra.cluster.node_pools import GPU_TAINT
from infra.cluster.pod_security import IMAGE_USERS, RESTRICTED, running_as
from infra.servers import ray
from infra.servers.places import settings_in
from infra.services.metrics import TRAINING_PORT_NAME
from infra.settings.workload_settings import TrainingJobSettings

PRIORITY_CLASS = "training"
METRICS_PORT = 8090
"""Port of rank 0's metrics; apart from Ray's own ports (8080 among them)."""
_CLUSTER_LABEL = "metadata.labels['ray.io/cluster']"
_CACHE = "/cache"
"""Folder of each worker's copies of data sets, on its node's disk."""
_CLUSTER_KEPT_S, _JOB_KEPT_S = 10, 24 * 3600
"""Seconds for which a finished job's cluster and GPUs stay, and for which its state and log can be read."""
_GRACE_S, _DRAIN_S = 110, 95
"""Seconds that a worker is given to end, of a spot node's two minutes, and of that to Ray, which tells the ranks that
their node goes, and waits for them to save what they have."""
_SUBMIT = ("python", "-m", "workloads.submitter")
# A pod of a job that the autoscaler moves to empty a node is work done again.
_STAYS = {"metadata": {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}}}
_POD: dict[str, Any] = {"priorityClassName": PRIORITY_CLASS, "securityContext": running_as(IMAGE_USERS["training"])}


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
    gpu_quota: int,
    settings: TrainingJobSettings,
) -> dict[str, Any]:
    """Return a ray.io/v1 RayJob for `kubectl create`: each creation is a job of its own, named after `name`.

    `secret_environment` maps a variable to the Secret and the key that hold it. The command runs on the head, which has
    no GPU, and places its ranks on the workers. A pod that is lost is made anew; when it was the head's, the command is
    submitted again. One that fails is not. `cluster_variable` holds the cluster's name, `<job>-<random>`.

    Raise pulumi.RunError where the workers together ask for more GPUs than `gpu_quota`, those that all jobs may have.
    """
    if settings.ranks > gpu_quota:
        raise pulumi.RunError(
            f"training.workers {settings.workers} x training.gpus {settings.gpus} are {settings.ranks} GPUs, and the "
            f"platform's jobs may have {gpu_quota}, as many as its GPU pools hold at their max_size unless "
            "services.max_training_gpus says less; use fewer, or raise that there and run `pulumi up` there first"
        )
    told = {**settings_in("cluster", ray.ENVIRONMENT), **environment}
    variables = [{"name": key, "value": value} for key, value in sorted(told.items())] + [
        {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": secret_key}}}
        for key, (secret, secret_key) in sorted(secret_environment.items())
    ]
    cluster_name = {"name": cluster_variable, "valueFrom": {"fieldRef": {"fieldPath": _CLUSTER_LABEL}}}
    # KubeRay gives both a /dev/shm as large as their memory, of which it counts: Ray keeps its objects there, and
    # loader workers pass batches through it.
    head = {**_POD, "serviceAccountName": service_account, "containers": [_head(image, [*variables, cluster_name])]}
    workers = {
        **_POD,
        "serviceAccountName": service_account,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": _GRACE_S,
        "containers": [_worker(image, variables, settings)],
        "tolerations": [{"key": GPU_TAINT, "operator": "Exists", "effect": "NoSchedule"}],
        "volumes": [{"name": "cache", "emptyDir": {"sizeLimit": f"{settings.cache_gib}Gi"}}],
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"generateName": f"{name}-", "namespace": namespace},
        "spec": {
            "submissionMode": "K8sJobMode",
            # In place of `entrypoint`, which is for KubeRay's own command.
            "submitterPodTemplate": _submitter(image, shlex.split(command)),
            # KubeRay's retries follow any failure; those of the submitter follow a loss alone.
            "backoffLimit": 0,
            "preRunningDeadlineSeconds": settings.start_minutes * 60,
            "activeDeadlineSeconds": settings.deadline_hours * 3600,
            "shutdownAfterJobFinishes": False,  # the rules' place
            "deletionStrategy": {"deletionRules": _deletion_rules()},
            "rayClusterSpec": {
                "rayVersion": ray.VERSION,
                "authOptions": {"mode": ray.AUTH_MODE},
                "headGroupSpec": {
                    "rayStartParams": settings_in("cluster", ray.START),
                    "template": {**_STAYS, "spec": head},
                },
                "workerGroupSpecs": [
                    {
                        "groupName": "gpu",
                        **dict.fromkeys(("replicas", "minReplicas", "maxReplicas"), settings.workers),
                        "rayStartParams": {},
                        "template": {**_STAYS, "spec": workers},
                    }
                ],
            },
        },
    }


def _head(image: str, variables: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": "ray-head",
        "image": image,
        "securityContext": RESTRICTED,
        "env": variables,
        "resources": ray.RESOURCES,
    }


def _worker(image: str, variables: list[dict[str, Any]], settings: TrainingJobSettings) -> dict[str, Any]:
    limits = {"cpu": str(settings.cpus), "memory": f"{settings.memory_gib}Gi", GPU_TAINT: str(settings.gpus)}
    return {
        "name": "ray-worker",
        "image": image,
        "securityContext": RESTRICTED,
        "env": [
            *variables,
            {"name": "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", "value": str(_DRAIN_S)},
            {"name": "XDG_CACHE_HOME", "value": _CACHE},
        ],
        "ports": [{"name": TRAINING_PORT_NAME, "containerPort": METRICS_PORT}],
        "resources": {"requests": {**limits, "ephemeral-storage": f"{settings.cache_gib}Gi"}, "limits": limits},
        "volumeMounts": [{"name": "cache", "mountPath": _CACHE}],
    }


def _submitter(image: str, words: Sequence[str]) -> dict[str, Any]:
    """Return the template of the pod that submits the command, whose words are its arguments, and follows its log.

    KubeRay's own command takes a head that is stopped for the end of the job, and waits for one that never comes again.
    """
    container = {
        "name": "ray-job-submitter",
        "image": image,
        "command": list(_SUBMIT),
        "args": list(words),
        "securityContext": RESTRICTED,
        "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}, "limits": {"memory": "512Mi"}},
    }
    pod = {**_POD, "restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    return {**_STAYS, "spec": pod}


def _deletion_rules() -> list[dict[str, Any]]:
    """Return what ends a cluster after its job, and the job a day later.

    A job past a deadline is `Failed` too, and only this rule then ends its pods.
    """
    succeeded, failed = {"jobStatus": "SUCCEEDED"}, {"jobDeploymentStatus": "Failed"}
    return [
        {"policy": "DeleteCluster", "condition": {**succeeded, "ttlSeconds": _CLUSTER_KEPT_S}},
        {"policy": "DeleteCluster", "condition": {**failed, "ttlSeconds": 0}},
        {"policy": "DeleteSelf", "condition": {**succeeded, "ttlSeconds": _JOB_KEPT_S}},
        {"policy": "DeleteSelf", "condition": {**failed, "ttlSeconds": _JOB_KEPT_S}},
    ]

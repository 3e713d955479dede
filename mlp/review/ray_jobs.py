"""Ray's jobs and clusters as manifests: which pods each of them brings, for price and capacity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlp.review.capacity.quantities import GPU

JOB, CLUSTER = "RayJob", "RayCluster"


@dataclass(frozen=True, kw_only=True)
class WorkerGroup:
    """Pods of one kind in a Ray cluster. `replicas` counts pods, those of groups of several hosts included."""

    name: str
    template: Mapping[str, Any]
    replicas: int

    @property
    def gpus(self) -> int:
        """The GPUs that all pods of the group are limited to."""
        limits = (one.get("resources", {}).get("limits", {}) for one in self.template["spec"]["containers"])
        return self.replicas * sum(int(one.get(GPU, 0)) for one in limits)


@dataclass(frozen=True, kw_only=True)
class RayManifest:
    """A RayJob or RayCluster. `deadline_s` is None where the job may run for ever."""

    name: str
    head: Mapping[str, Any]
    """The template of the head's pod."""
    workers: tuple[WorkerGroup, ...]
    deadline_s: float | None
    submits: bool
    """Whether a pod of its own submits the job."""
    submitter: Mapping[str, Any] | None
    """The template of that pod; None where KubeRay chooses it."""


def ray_manifest(manifest: Mapping[str, Any]) -> RayManifest:
    """Read a manifest of kind RayJob or RayCluster. Raises KeyError for one without a head."""
    spec, is_job = manifest["spec"], manifest["kind"] == JOB
    cluster = spec.get("rayClusterSpec") or {} if is_job else spec
    metadata = manifest.get("metadata", {})
    return RayManifest(
        name=str(metadata.get("name") or metadata.get("generateName", "")).rstrip("-"),
        head=cluster["headGroupSpec"]["template"],
        workers=tuple(
            WorkerGroup(
                name=group["groupName"],
                template=group["template"],
                replicas=int(group.get("replicas", 1)) * int(group.get("numOfHosts", 1)),
            )
            for group in cluster.get("workerGroupSpecs") or ()
        ),
        deadline_s=spec.get("activeDeadlineSeconds") if is_job else None,
        submits=is_job and spec.get("submissionMode", "K8sJobMode") == "K8sJobMode",
        submitter=spec.get("submitterPodTemplate") if is_job else None,
    )

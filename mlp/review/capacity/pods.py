"""The pods that a manifest starts: their requests, where they may run, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from mlp.review.capacity.quantities import amount
from mlp.review.ray_jobs import CLUSTER, JOB, ray_manifest

Amounts = Mapping[str, int]
"""Amount by resource, in the scheduler's units: millicores, bytes, counts."""
Labels = Mapping[str, str]


class Runs(Enum):
    """The time at which pods run."""

    ALWAYS = "always"
    ON_EVERY_NODE = "on every node"
    WHEN_BUSY = "when busy"


@dataclass(frozen=True)
class Requirement:
    """One expression of a label or node selector."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def holds(self, labels: Labels) -> bool:
        """Return whether `labels` match the expression."""
        found = labels.get(self.key)
        match self.operator:
            case "In":
                return found in self.values
            case "NotIn":
                return found not in self.values
            case "Exists":
                return found is not None
            case "DoesNotExist":
                return found is None
            case "Gt" | "Lt" if found is not None and found.isdecimal():
                return int(found) > int(self.values[0]) if self.operator == "Gt" else int(found) < int(self.values[0])
        return False


@dataclass(frozen=True, kw_only=True)
class PodSelector:
    """The pods of a namespace that an affinity or spread rule selects, counted by a node label's value."""

    topology: str
    selector: tuple[Requirement, ...]
    max_skew: int | None = None
    """Largest difference between counts; None where no two may share a value."""

    def matches(self, pod: Pod, namespace: str) -> bool:
        """Return whether `pod` is one of them, seen from `namespace`."""
        return pod.namespace == namespace and all(one.holds(pod.labels) for one in self.selector)


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod as the scheduler sees it, with required rules alone, without preferred ones."""

    requests: Amounts
    namespace: str = "default"
    labels: Labels = field(default_factory=dict)
    node_selector: Labels = field(default_factory=dict)
    node_terms: tuple[tuple[Requirement, ...], ...] = ()
    """Required node affinity: all requirements of any one term; empty means any node."""
    tolerations: tuple[Mapping[str, Any], ...] = ()
    anti_affinity: tuple[PodSelector, ...] = ()
    topology_spread: tuple[PodSelector, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A number of identical pods. `source` is the resource of the plan that starts them."""

    name: str
    pod: Pod
    replicas: int = 1
    runs: Runs = Runs.ALWAYS
    source: str = ""


def total(amounts: Iterable[Amounts]) -> Counter[str]:
    """Return the sum of `amounts` by resource."""
    result: Counter[str] = Counter()
    for one in amounts:
        result.update(one)
    return result


def read_pod(
    spec: Mapping[str, Any], *, namespace: str, labels: Labels, more_init: Sequence[Mapping[str, Any]] = ()
) -> Pod:
    """Return the pod of a Kubernetes PodSpec; `more_init` are init containers that an operator adds.

    Raise ValueError that names every container and request that cannot be read.
    """
    faults: list[str] = []
    affinity = spec.get("affinity") or {}
    terms = (_required(affinity, "nodeAffinity") or {}).get("nodeSelectorTerms") or ()
    pod = Pod(
        requests=_requests(spec, more_init, faults),
        namespace=namespace,
        labels=dict(labels),
        node_selector=spec.get("nodeSelector") or {},
        node_terms=tuple(_requirements(term.get("matchExpressions")) for term in terms),
        tolerations=tuple(spec.get("tolerations") or ()),
        anti_affinity=tuple(
            PodSelector(topology=term["topologyKey"], selector=_label_selector(term.get("labelSelector")))
            for term in _required(affinity, "podAntiAffinity") or ()
        ),
        topology_spread=tuple(
            PodSelector(
                topology=one["topologyKey"],
                selector=_label_selector(one.get("labelSelector")),
                max_skew=int(one.get("maxSkew", 1)),
            )
            for one in spec.get("topologySpreadConstraints") or ()
            if one.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule"
        ),
    )
    if faults:
        raise ValueError("\n".join(faults))
    return pod


def _required(affinity: Mapping[str, Any], kind: str) -> Any:
    return (affinity.get(kind) or {}).get("requiredDuringSchedulingIgnoredDuringExecution")


def _label_selector(selector: Mapping[str, Any] | None) -> tuple[Requirement, ...]:
    selector = selector or {}
    equal = (Requirement(key, "In", (value,)) for key, value in (selector.get("matchLabels") or {}).items())
    return (*equal, *_requirements(selector.get("matchExpressions")))


def _requirements(expressions: Iterable[Mapping[str, Any]] | None) -> tuple[Requirement, ...]:
    return tuple(
        Requirement(one["key"], one["operator"], tuple(str(value) for value in one.get("values") or ()))
        for one in expressions or ()
    )


def _requests(spec: Mapping[str, Any], more_init: Sequence[Mapping[str, Any]], faults: list[str]) -> Amounts:
    """Return what the scheduler reserves for the pod.

    Init containers run one by one, beside the sidecars started before them.
    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
    """
    sidecars: Counter[str] = Counter()
    peak: Counter[str] = Counter()
    for container in (*(spec.get("initContainers") or ()), *more_init):
        wanted = _container_requests(container, faults)
        if container.get("restartPolicy") == "Always":
            sidecars.update(wanted)
            wanted = Counter()
        peak |= sidecars + wanted
    running = total([sidecars, *(_container_requests(one, faults) for one in spec.get("containers") or ())])
    return running | peak


def _container_requests(container: Mapping[str, Any], faults: list[str]) -> Counter[str]:
    """Return a container's requests; a limit without a request is one."""
    resources = container.get("resources") or {}
    wanted: Counter[str] = Counter()
    for kind in ("limits", "requests"):
        for resource, written in (resources.get(kind) or {}).items():
            try:
                wanted[resource] = amount(resource, written)
            except ValueError as error:
                faults.append(f"container {container.get('name')}: {kind}.{resource}: {error}")
    return wanted


def manifest_workloads(manifest: Mapping[str, Any], *, source: str, busy: bool = False) -> list[Workload] | None:
    """Return the pods that a Kubernetes object starts; None for a kind that this table does not know.

    With `busy` they are temporary. Raise ValueError as `read_pod` does.
    """
    maker = _MAKERS.get(str(manifest.get("kind")))
    if maker is None:
        return None
    made = [replace(one, source=source) for one in maker(manifest)]
    return [replace(one, runs=Runs.WHEN_BUSY) for one in made] if busy else made


def _plain(manifest: Mapping[str, Any]) -> Iterator[Workload]:
    """Yield the pods of Kubernetes' own kinds, which have a pod template and a count."""
    kind, spec = manifest["kind"], manifest.get("spec") or {}
    template = manifest if kind == "Pod" else spec
    if kind == "CronJob":
        template = spec = spec["jobTemplate"]["spec"]
    if kind != "Pod":
        template = template.get("template") or {}
    runs = {"DaemonSet": Runs.ON_EVERY_NODE, "CronJob": Runs.WHEN_BUSY}.get(kind, Runs.ALWAYS)
    count = spec.get("parallelism" if kind in ("Job", "CronJob") else "replicas")
    yield _workload(manifest, template, replicas=1 if count is None else int(count), runs=runs)


def _workload(
    manifest: Mapping[str, Any],
    template: Mapping[str, Any],
    *,
    part: str = "",
    replicas: int = 1,
    runs: Runs = Runs.ALWAYS,
    more_init: Sequence[Mapping[str, Any]] = (),
) -> Workload:
    metadata = manifest.get("metadata") or {}
    namespace = metadata.get("namespace") or "default"
    object_name = metadata.get("name") or str(metadata.get("generateName", "")).rstrip("-")
    name = f"{manifest['kind']} {namespace}/{object_name}" + (f" {part}" if part else "")
    labels = (template.get("metadata") or {}).get("labels") or {}
    try:
        pod = read_pod(template.get("spec") or {}, namespace=namespace, labels=labels, more_init=more_init)
    except ValueError as error:
        raise ValueError("\n".join(f"{name}: {line}" for line in str(error).splitlines())) from None
    return Workload(name=name, pod=pod, replicas=replicas, runs=runs)


# What KubeRay adds, https://github.com/ray-project/kuberay/tree/v1.7.0/ray-operator/controllers/ray/common:
# a worker waits for its head in an init container (pod.go), and a pod submits the job (job.go).
_WAITS_FOR_HEAD = {"name": "wait-gcs-ready", "resources": {"requests": {"cpu": "200m", "memory": "256Mi"}}}
_SUBMITTER = {
    "spec": {"containers": [{"name": "submitter", "resources": {"requests": {"cpu": "500m", "memory": "200Mi"}}}]}
}


def _ray_pods(manifest: Mapping[str, Any]) -> Iterator[Workload]:
    ray = ray_manifest(manifest)
    yield _workload(manifest, ray.head, part="head")
    for group in ray.workers:
        yield _workload(
            manifest,
            group.template,
            part=f"worker {group.name}",
            replicas=group.replicas,
            more_init=(_WAITS_FOR_HEAD,),
        )
    if ray.submits:
        yield _workload(manifest, ray.submitter or _SUBMITTER, part="submitter")


_MAKERS = {
    **dict.fromkeys(("Deployment", "StatefulSet", "ReplicaSet", "DaemonSet", "Job", "CronJob", "Pod"), _plain),
    **dict.fromkeys((JOB, CLUSTER), _ray_pods),
}
"""Readers of pods by kind of object, whether an object, a chart, an add-on or an output starts them."""

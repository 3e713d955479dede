"""All pods of a plan: those of add-ons, releases, Kubernetes objects, and jobs among the outputs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from mlp.engine.cloud import Registration
from mlp.engine.types import facts_of
from mlp.engine.types.facts import KubernetesType, Pods
from mlp.plan.planned import ProgramPlan
from mlp.review.capacity.addon_pods import addon_manifests
from mlp.review.capacity.chart_pods import release_manifests
from mlp.review.capacity.pods import Workload, manifest_workloads
from mlp.shared.errors import PlatformError

ADDON = "aws:eks/addon:Addon"
_COUNTED = ("containers", "initContainers", "nodeSelector", "tolerations", "affinity", "topologySpreadConstraints")


def planned_workloads(plans: Sequence[ProgramPlan]) -> list[Workload]:
    """Return what would run. Raise PlatformError that lists all parts with unreadable pods or requests."""
    found: list[Workload] = []
    faults: list[str] = []
    for source, read in (part for plan in plans for part in _parts(plan)):
        try:
            found += read()
        except (PlatformError, ValueError) as error:
            faults += [f"{source}: {line}" for line in str(error).splitlines()]
    if faults:
        raise PlatformError("the requests of pods cannot be determined:\n  " + "\n  ".join(faults))
    return found


def _parts(plan: ProgramPlan) -> Iterator[tuple[str, Callable[[], list[Workload]]]]:
    """Yield the name of each part that may start pods, and a function that reads them."""
    for entry in plan.resources.values():
        if entry.custom and (entry.type == ADDON or entry.type.startswith("kubernetes:")):
            yield entry.name, partial(_of_entry, entry)
    for manifest in output_objects(plan.outputs):
        source = f"{plan.program} output {manifest['kind']}"
        yield source, partial(_of_manifests, [manifest], source, busy=True)


def _of_entry(entry: Registration) -> list[Workload]:
    inputs = entry.inputs
    if entry.type == ADDON:
        settings = json.loads(inputs.get("configurationValues") or "{}")
        return _of_manifests(addon_manifests(inputs["addonName"], settings), entry.name)
    facts = facts_of(entry.type)
    match facts.pods if isinstance(facts, KubernetesType) else Pods.NONE:
        case Pods.CHART:
            manifests = release_manifests(
                name=inputs["name"],
                namespace=inputs.get("namespace") or "default",
                chart=inputs["chart"],
                values=inputs.get("values") or {},
            )
            return _of_manifests(manifests, entry.name)
        case Pods.PATCHED:
            return _of_patch(inputs)
        case Pods.MANIFEST:
            return _of_manifests([inputs], entry.name)
        case Pods.NONE:
            return []


def _of_manifests(manifests: Iterable[Mapping[str, Any]], source: str, *, busy: bool = False) -> list[Workload]:
    found: list[Workload] = []
    for manifest in manifests:
        workloads = manifest_workloads(manifest, source=source, busy=busy)
        if workloads is None:
            raise ValueError(
                f"the pods of kind {manifest.get('kind')} of {manifest.get('apiVersion')} are not known; add what it "
                "makes to mlp/review/capacity/pods.py"
            )
        found += workloads
    return found


def _of_patch(inputs: Mapping[str, Any]) -> list[Workload]:
    """Return the pods of a patch, which are those of another part; refuse a patch that would change them."""
    spec = inputs.get("spec") or {}
    template = ((spec.get("template") or {}).get("spec")) or {}
    changed = [key for key in _COUNTED if template.get(key)] + (["replicas"] if "replicas" in spec else [])
    if changed:
        raise ValueError(
            f"it patches {', '.join(changed)} of pods that are counted without it; set them at their source"
        )
    return []


def output_objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the Kubernetes objects anywhere in a program's outputs, which people and pipelines create."""
    if isinstance(value, Mapping):
        if isinstance(value.get("apiVersion"), str) and value.get("kind") and value["kind"] != "Config":
            yield value
            return
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from output_objects(one)

"""The disks that pods ask for: claims in Kubernetes objects and in the values of Helm releases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlp.engine.cloud import Registration
from mlp.plan.planned import ProgramPlan
from mlp.review.capacity.quantities import quantity

_RELEASE = "kubernetes:helm.sh/v3:Release"
_CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
_STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"
_CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class PlannedVolume:
    """Disks of one claim, one for each replica. `gib` and `volume_type` are None where the plan does not tell them."""

    owner: str
    count: int
    size: str
    gib: float | None
    volume_type: str | None


def volumes(plans: Sequence[ProgramPlan]) -> Iterator[PlannedVolume]:
    """The disks that are asked for. What a chart asks for by default, without a word in our values, is not seen."""
    classes = _volume_types(plans)
    for plan in plans:
        for entry in plan.resources.values():
            for owner, count, claim, named in _claims(entry):
                type_ = classes.get(named or "")
                yield PlannedVolume(owner=owner, count=count, size=str(claim), gib=_gib(claim), volume_type=type_)


def _claims(entry: Registration) -> Iterator[tuple[str, int, Any, str | None]]:
    if entry.type == _RELEASE:
        yield from _in_values(entry.inputs.get("values") or {}, (entry.name,), 1)
    elif entry.type == _CLAIM:
        yield from _of_claim(entry.inputs.get("spec"), entry.name, 1)
    elif entry.type == _STATEFUL_SET:
        yield from _in_values(entry.inputs.get("spec") or {}, (entry.name,), 1)


def _in_values(values: Any, path: tuple[str, ...], replicas: int) -> Iterator[tuple[str, int, Any, str | None]]:
    """Claims below `values`, named by release and part; the nearest `replicas` above one says how many there are."""
    if isinstance(values, list):
        for item in values:
            yield from _in_values(item, path, replicas)
    if not isinstance(values, Mapping):
        return
    replicas = values["replicas"] if isinstance(values.get("replicas"), int) else replicas
    for key, value in values.items():
        if key == "volumeClaimTemplate" and isinstance(value, Mapping):
            yield from _of_claim(value.get("spec"), " ".join(path[:2]), replicas)
        elif key == "volumeClaimTemplates" and isinstance(value, list):
            for template in value:
                yield from _of_claim(template.get("spec"), " ".join(path[:2]), replicas)
        elif key == "persistence" and isinstance(value, Mapping):
            if value.get("enabled") and value.get("size"):
                named = value.get("storageClass") or value.get("storageClassName")
                yield " ".join(path[:2]), replicas, value["size"], named
        else:
            yield from _in_values(value, (*path, key), replicas)


def _of_claim(spec: Any, owner: str, count: int) -> Iterator[tuple[str, int, Any, str | None]]:
    if not isinstance(spec, Mapping):
        return
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if storage:
        yield owner, count, storage, spec.get("storageClassName")


def _volume_types(plans: Sequence[ProgramPlan]) -> dict[str, str]:
    """The type of EBS volume that each storage class of the plan makes; the default class also under no name."""
    types: dict[str, str] = {}
    for entry in (entry for plan in plans for entry in plan.of_type(_CLASS)):
        metadata = entry.inputs.get("metadata") or {}
        if entry.inputs.get("provisioner") != "ebs.csi.aws.com":
            continue
        type_ = str((entry.inputs.get("parameters") or {}).get("type", "gp3"))  # the driver's own default
        types[str(metadata.get("name"))] = type_
        if (metadata.get("annotations") or {}).get(_DEFAULT_CLASS) == "true":
            types[""] = type_
    return types


def _gib(size: object) -> float | None:
    try:
        return float(quantity(size) / _GIB)
    except ValueError:
        return None

"""The disks that pods request: claims in the values of Helm releases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlp.plan.planned import ProgramPlan
from mlp.review.capacity.quantities import quantity

_RELEASE = "kubernetes:helm.sh/v3:Release"
_CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class PlannedVolume:
    """The disks of one claim, one for each replica. `gib` and `volume_type` are None where the plan has none."""

    owner: str
    count: int
    size: str
    gib: float | None
    volume_type: str | None


def volumes(plans: Sequence[ProgramPlan]) -> Iterator[PlannedVolume]:
    """Yield the requested disks, without those that a chart requests by default."""
    classes = _volume_types(plans)
    for plan in plans:
        for release in plan.of_type(_RELEASE):
            for owner, count, claim, named in _in_values(release.inputs.get("values") or {}, (release.name,), 1):
                type_ = classes.get(named or "")
                yield PlannedVolume(owner=owner, count=count, size=str(claim), gib=_gib(claim), volume_type=type_)


def _in_values(values: Any, path: tuple[str, ...], replicas: int) -> Iterator[tuple[str, int, Any, str | None]]:
    """Yield claims below `values`, named by release and part; the nearest `replicas` above is their number."""
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
    """Return the type of EBS volume by storage class of the plan; the default class also under no name."""
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

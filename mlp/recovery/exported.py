"""The exported state of a stack: its resources, and the operations that were going on when it was last written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from mlp.shared.errors import PlatformError

VERSIONS = (3, 4)
"""Versions of an export that are read; 4 is 3 with a list of features, as Pulumi writes it where one is used."""
CREATING = "creating"
_MAX_FAULTS = 5


class Resource(BaseModel, frozen=True):
    """A resource of the state, or the one that an operation was about, as far as it is read here."""

    urn: str = Field(pattern=r"^urn:pulumi:[^:]+::[^:]+::.+::.+$")
    type: str
    id: str = ""
    inputs: dict[str, Any] = {}
    provider: str = ""
    dependencies: list[str] = []
    parent: str = ""
    delete: bool = False
    pending_replacement: bool = Field(default=False, alias="pendingReplacement")

    @property
    def name(self) -> str:
        """Return the logical name."""
        return self.urn.rpartition("::")[2]

    def text(self, key: str) -> str | None:
        """Return an input that is text; None without it, or where it is secret or another kind of value."""
        value = self.inputs.get(key)
        return value if isinstance(value, str) else None


class Operation(BaseModel, frozen=True):
    """An operation that was begun and whose end was not recorded."""

    type: str
    resource: Resource


class _Deployment(BaseModel):
    resources: list[Resource] | None = None
    pending_operations: list[Operation] | None = None


class _File(BaseModel):
    version: int
    deployment: _Deployment


@dataclass(frozen=True)
class Exported:
    """A stack's state as `pulumi stack export` prints it; `data` is all of it, secrets encrypted."""

    data: Mapping[str, Any]
    resources: tuple[Resource, ...]
    operations: tuple[Operation, ...]

    @cached_property
    def live(self) -> Mapping[str, Resource]:
        """Return the resources by URN, without those that wait for their deletion or for their replacement."""
        return {one.urn: one for one in self.resources if not one.delete and not one.pending_replacement}

    def ids(self, type_: str) -> frozenset[str]:
        """Return the ids of all resources of a type."""
        return frozenset(one.id for one in self.resources if one.type == type_)

    def provider_inputs(self, resource: Resource) -> Mapping[str, Any]:
        """Return the inputs of a resource's provider; none where the state does not hold it."""
        urn, _, id_ = resource.provider.rpartition("::")
        found = [one for one in self.resources if one.urn == urn]
        same = [one for one in found if one.id == id_] or found
        return same[0].inputs if same else {}


def parse(text: str | bytes, source: str) -> Exported:
    """Return the state in `text`. Raise PlatformError, which names `source`, for what is not an exported state."""
    remedy = "take the output of `pulumi stack export --stack ENV`"
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlatformError(f"{source} is not JSON: {error}; {remedy}") from None
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        raise PlatformError(_faults(source, error, remedy)) from None
    if file.version not in VERSIONS:
        raise PlatformError(
            f"{source} has version {file.version}, and this mlp reads {' and '.join(map(str, VERSIONS))}; "
            "export it with the pinned Pulumi"
        )
    return Exported(
        data=data,
        resources=tuple(file.deployment.resources or ()),
        operations=_unique(file.deployment.pending_operations or ()),
    )


def _unique(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """Return each operation once: a second run that was killed keeps those of the first."""
    found: list[Operation] = []
    found.extend(one for one in operations if one not in found)
    return tuple(found)


def _faults(source: str, error: ValidationError, remedy: str) -> str:
    faults = [
        f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']} (got {str(one['input'])[:60]!r})"
        for one in error.errors()
    ]
    more = [f"and {len(faults) - _MAX_FAULTS} more"] if len(faults) > _MAX_FAULTS else []
    return "\n  ".join([f"{source} is not the state of a stack; {remedy}:", *faults[:_MAX_FAULTS], *more])

"""Checks of custom resources against their definitions, unknown fields forbidden.

The rules that definitions write in Kubernetes' expression language are the API server's alone to judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft4Validator

from mlp.charts.schema_faults import faults, written

_BUILT_IN_GROUPS = frozenset(
    f"{name}.k8s.io"
    for name in (
        "admissionregistration",
        "apiextensions",
        "apiregistration",
        "authentication",
        "authorization",
        "certificates",
        "coordination",
        "discovery",
        "events",
        "flowcontrol.apiserver",
        "internal.apiserver",
        "networking",
        "node",
        "rbac.authorization",
        "resource",
        "scheduling",
        "storage",
        "storagemigration",
    )
)
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_METADATA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "generateName": {"type": "string"},
        "namespace": {"type": "string"},
        "labels": _TEXTS,
        "annotations": _TEXTS,
        "finalizers": {"type": "array", "items": {"type": "string"}},
        "ownerReferences": {"type": "array", "items": {"type": "object"}},
    },
    "anyOf": [{"required": ["name"]}, {"required": ["generateName"]}],
}
_GO_FLAGS = re.compile(r"\^\(\?([a-z]+)\)")


def is_custom(api_version: str) -> bool:
    """Return whether objects of this group are defined by a custom resource definition, not by Kubernetes itself."""
    group, slash, _ = api_version.partition("/")
    return bool(slash) and "." in group and group not in _BUILT_IN_GROUPS


@dataclass(frozen=True)
class CustomResourceFinding:
    """A fault of one object; `checked` is False where the data have nothing of its group."""

    message: str
    checked: bool = True


class CustomResources:
    """The custom resources that the given definitions make known."""

    def __init__(self, definitions: Iterable[Mapping[str, Any]]) -> None:
        self._schemas: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._validators: dict[tuple[str, str], Draft4Validator] = {}
        for definition in definitions:
            spec = definition["spec"]
            for version in spec["versions"]:
                if version.get("served") is True and "schema" in version:
                    key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                    # The same definition may come with two charts.
                    self._schemas.setdefault(key, version["schema"]["openAPIV3Schema"])

    def api_versions(self) -> list[str]:
        """Return the API versions of a cluster with these definitions, in both forms that charts ask for."""
        both = {one for version, kind in self._schemas for one in (version, f"{version}/{kind}")}
        return sorted(both)

    def findings(self, thing: Mapping[str, Any], *, shown: Any = None) -> list[CustomResourceFinding]:
        """Return the faults of an object; `shown` is the object as it may be printed."""
        version, kind = str(thing.get("apiVersion")), str(thing.get("kind"))
        key = (version, kind)
        if key not in self._schemas:
            return [self._unknown(version, kind)]
        if key not in self._validators:
            self._validators[key] = Draft4Validator(strict(self._schemas[key]))
        return [
            CustomResourceFinding(f"{written(path)}: {message}")
            for path, message in faults(self._validators[key], thing, thing if shown is None else shown)
        ]

    def _unknown(self, version: str, kind: str) -> CustomResourceFinding:
        group = version.partition("/")[0]
        of_group = sorted(f"{one} {other}" for one, other in self._schemas if one.partition("/")[0] == group)
        if not of_group:
            return CustomResourceFinding(f"the chart data define nothing of {group}", checked=False)
        return CustomResourceFinding(f"{version} {kind} is not defined; of {group} there are: {', '.join(of_group)}")


def strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a definition's schema as a JSON schema that takes no field which it does not name."""
    closed = _closed(schema)
    closed["properties"] = {
        **closed.get("properties", {}),
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": _METADATA,
    }
    return closed


def _closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    # Only what spells the structure is closed; below allOf, anyOf, oneOf and not stand conditions on parts of it.
    closed = {key: value for key, value in schema.items() if not key.startswith("x-")}
    if "properties" in schema:
        closed["properties"] = {key: _closed(value) for key, value in schema["properties"].items()}
    if isinstance(schema.get("items"), Mapping):
        closed["items"] = _closed(schema["items"])
    if isinstance(schema.get("additionalProperties"), Mapping):
        closed["additionalProperties"] = _closed(schema["additionalProperties"])
    elif schema.get("type") == "object" and not schema.get(_PRESERVE) and not schema.get("additionalProperties"):
        closed["additionalProperties"] = False
    if schema.get("x-kubernetes-embedded-resource"):
        closed["properties"] = {**closed.get("properties", {}), "apiVersion": {}, "kind": {}, "metadata": _METADATA}
    if schema.get("x-kubernetes-int-or-string"):
        closed.pop("type", None)
        closed["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if schema.get("nullable") and "type" in closed:
        closed["type"] = [closed["type"], "null"]
    if isinstance(schema.get("pattern"), str):
        closed |= _pattern(schema["pattern"])
    return closed


def _pattern(pattern: str) -> dict[str, str]:
    """Return Go's expression for Python, which wants flags first; one that only Go knows holds for everything."""
    found = _GO_FLAGS.match(pattern)
    moved = f"(?{found[1]})^{pattern[found.end() :]}" if found else pattern
    try:
        re.compile(moved)
    except re.error:
        return {"pattern": ""}
    return {"pattern": moved}

"""Changes in the form in which `pulumi preview --json` and our plan can be compared.

    {"created": ["TYPE NAME"], "changed": {"TYPE NAME": ["spec.replicas"]}, "replaced": {...}, "deleted": [...]}

Property paths end where a list begins, whose entries the engine compares by their places and the plan by their names,
and at a text, since the engine does not look into JSON. Left out are components, protection, which is no property, and
the names of Jobs, which hash images and are symbols in a plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mlp.review.changes.differences import ProgramChanges, ResourceChange
from mlp.review.changes.property_paths import parsed

Answer = dict[str, Any]
_KINDS = {"create": "created", "update": "changed", "replace": "replaced", "delete": "deleted"}
_JOB = "kubernetes:batch/v1:Job"
_NOT_PROPERTIES = {("protect",), ("provider",)}


def of_preview(preview: Mapping[str, Any]) -> Answer:
    """Return the answer of the engine, from what `pulumi preview --json` prints."""
    return _answer(
        (_KINDS[step["op"]], step["urn"], _paths_of_step(step))
        for step in preview["steps"]
        if step["op"] in _KINDS and (step.get("newState") or step["oldState"])["custom"]
    )


def _paths_of_step(step: Mapping[str, Any]) -> set[str]:
    detailed = {_joined(_before_lists(parsed(path))) for path in step.get("detailedDiff") or ()}
    return detailed or {*(step.get("diffReasons") or ())}


def _before_lists(path: Iterable[str | int]) -> Iterator[str]:
    for key in path:
        if isinstance(key, int):
            return
        yield key


def of_plan(changes: ProgramChanges) -> Answer:
    """Return the answer of our plan."""
    found = [(one, _paths_of_change(one)) for one in changes.resources]
    # A change of protection alone is none in the cloud.
    return _answer((one.kind, one.entry.urn, paths) for one, paths in found if paths or one.kind != "changed")


def _paths_of_change(change: ResourceChange) -> set[str]:
    if change.old is None:
        return set()
    sides = (change.old.inputs, change.entry.inputs)
    fields = [one.keys for one in change.fields if one.keys not in _NOT_PROPERTIES]
    return {_joined(_before_lists_and_texts(sides, keys)) for keys in fields}


def _before_lists_and_texts(values: Iterable[Any], keys: tuple[str, ...]) -> Iterator[str]:
    for key in keys:
        if any(isinstance(one, str | list) for one in values):
            return
        yield key
        values = [one[key] for one in values if isinstance(one, Mapping) and key in one]


def _joined(keys: Iterable[str]) -> str:
    return "/".join(key.replace("/", "~1") for key in keys)


def _answer(found: Iterable[tuple[str, str, set[str]]]) -> Answer:
    answer: Answer = {"created": [], "changed": {}, "replaced": {}, "deleted": []}
    for kind, urn, paths in found:
        *_, type_, name = urn.split("::")
        type_ = type_.rpartition("$")[2]
        resource = f"{type_} {name}"
        if isinstance(answer[kind], list):
            answer[kind].append(resource)
        else:
            answer[kind][resource] = sorted(paths - {"metadata/name"} if type_ == _JOB else paths)
    return {
        kind: sorted(value) if isinstance(value, list) else dict(sorted(value.items()))
        for kind, value in answer.items()
    }

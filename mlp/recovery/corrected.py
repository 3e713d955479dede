"""The state after the answers: what AWS made is in it, and what is settled is no longer pending."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from mlp.recovery.answers import Action, Answer
from mlp.recovery.exported import Exported

_IN_THE_STATE = {Action.ADOPT, Action.REMOVE, Action.LEFTOVER}
_STILL_PENDING = {Action.WAIT, Action.ASK, Action.REFRESH}
_OF_THE_PROVIDER = "__defaults"


def corrected(state: Exported, answers: Iterable[Answer]) -> dict[str, Any]:
    """Return the export with the answers carried out, for `pulumi stack import`.

    A resource that is put in has its inputs for outputs, as the provider would begin to fill them: a refresh reads the
    rest, and keeps inputs that AWS does not give back, such as passwords.
    """
    data = copy.deepcopy(dict(state.data))
    deployment = data["deployment"]
    resources: list[dict[str, Any]] = deployment.get("resources") or []
    operations = deployment.get("pending_operations") or []
    pending: list[dict[str, Any]] = []
    by_place = {
        _place(one.operation.type, one.operation.resource.urn, one.operation.resource.inputs): one for one in answers
    }
    for operation in operations:
        resource = operation["resource"]
        answer = by_place.pop(_place(operation["type"], resource["urn"], resource.get("inputs") or {}), None)
        if answer is None:
            continue  # the same once more
        if answer.action in _STILL_PENDING:
            pending.append(operation)
        elif answer.action in _IN_THE_STATE:
            _put(resources, _entry(resource, answer))
    deployment["resources"] = resources
    deployment["pending_operations"] = pending
    return data


def _place(type_: str, urn: str, inputs: dict[str, Any]) -> str:
    return repr((type_, urn, sorted(inputs.items(), key=str)))


def _entry(resource: dict[str, Any], answer: Answer) -> dict[str, Any]:
    inputs = resource.get("inputs") or {}
    outputs = {key: value for key, value in inputs.items() if key != _OF_THE_PROVIDER}
    entry = {**resource, "id": answer.id, "outputs": outputs}
    if resource["type"].startswith("aws:"):
        outputs["id"] = answer.id
    if answer.action is Action.LEFTOVER:
        entry["delete"] = True
    if answer.action is not Action.ADOPT:
        entry.pop("protect", None)
        entry.pop("retainOnDelete", None)
    return entry


def _put(resources: list[dict[str, Any]], entry: dict[str, Any]) -> None:
    """Put an entry where it belongs: in the place of the one that it was to replace, else at the end."""
    for place, one in enumerate(resources):
        if one["urn"] == entry["urn"] and one.get("pendingReplacement") and not entry.get("delete"):
            resources[place] = entry
            return
    resources.append(entry)

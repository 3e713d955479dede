"""States of stacks as `pulumi stack export` prints them, with operations that a kill left unfinished."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlp.recovery.exported import Exported, parse

STACK = "urn:pulumi:dev::ml-platform::pulumi:pulumi:Stack::ml-platform-dev"
AWS = "urn:pulumi:dev::ml-platform::pulumi:providers:aws::aws"
AWS_ID = "5b687779-6877-4e59-a31d-6b61186748f1"
TAGS = {"Project": "ml-platform", "Environment": "dev", "Platform": "ml-platform-dev", "ManagedBy": "pulumi"}
SECRET = {
    "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
    "ciphertext": "v1:ibBNRrtuh9xDg4rb:KmSVntFjGy0P722",
}
"""A secret as an export has it."""

Data = dict[str, Any]


def urn(type_: str, name: str) -> str:
    return f"urn:pulumi:dev::ml-platform::{type_}::{name}"


def resource(type_: str, name: str, id_: str | None = None, /, **inputs: Any) -> Data:
    """A resource of the state; without an id, one whose creation was begun."""
    known = {"id": id_, "outputs": {**inputs, "id": id_}} if id_ is not None else {}
    return {
        "urn": urn(type_, name),
        "custom": True,
        "type": type_,
        "inputs": {"__defaults": [], **inputs},
        "parent": STACK,
        "provider": f"{AWS}::{AWS_ID}",
        **known,
    }


def provider(region: str = "us-east-1", tags: Mapping[str, str] = TAGS) -> Data:
    inputs = {"region": region, "defaultTags": json.dumps({"tags": dict(tags)}), "version": "7.51.1"}
    return {"urn": AWS, "custom": True, "id": AWS_ID, "type": "pulumi:providers:aws", "inputs": inputs}


def operation(of: Data, type_: str = "creating") -> Data:
    return {"resource": of, "type": type_}


def export(operations: Sequence[Data] = (), resources: Iterable[Data] = ()) -> Data:
    stack = {"urn": STACK, "custom": False, "type": "pulumi:pulumi:Stack"}
    return {
        "version": 3,
        "deployment": {
            "manifest": {"time": "2026-12-01T02:26:07Z", "magic": "", "version": "v3.274.1"},
            "secrets_providers": {"type": "passphrase", "state": {"salt": "v1:mhQ="}},
            "resources": [stack, provider(), *resources],
            "pending_operations": list(operations),
            "metadata": {},
        },
    }


def state(operations: Sequence[Data] = (), resources: Iterable[Data] = ()) -> Exported:
    return parse(json.dumps(export(operations, resources)), "the state")


def pending(type_: str, name: str = "it", /, **inputs: Any) -> Data:
    """The beginning of a creation."""
    return operation(resource(type_, name, **inputs))


def faults_of(data: Data) -> list[str]:
    """What Pulumi refuses in a state: two live resources of one URN, and one before what it needs."""
    seen: set[str] = set()
    faults = []
    for one in data["deployment"]["resources"]:
        needed = [*filter(None, [one.get("parent")]), *one.get("dependencies", ())]
        faults += [f"{one['urn']} before {other}" for other in needed if other not in seen]
        if one["urn"] in seen and not one.get("delete"):
            faults.append(f"{one['urn']} twice")
        seen.add(one["urn"])
    return faults


class NoCloud:
    """An AWS that nobody may ask."""

    def __call__(self, service: str) -> Any:
        raise AssertionError(f"{service} was asked")


class Answering:
    """Clients with canned answers, by service and call."""

    def __init__(self, **answers: Mapping[str, Any]) -> None:
        self._answers = answers

    def __call__(self, service: str) -> Any:
        return _Client(self._answers[service])


class _Client:
    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers

    def can_paginate(self, _call: str) -> bool:
        return False

    def __getattr__(self, call: str) -> Any:
        answer = self._answers[call]

        def asked(**_given: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        return asked

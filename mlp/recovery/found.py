"""What is looked for in AWS, and what is found there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from botocore.exceptions import ClientError

from mlp.recovery.exported import Resource
from mlp.shared.aws_session import Clients

PROVIDER_SUFFIX = 26
"""Characters that AWS's provider appends to a prefix: a time and a counter, in hexadecimal digits."""


class Standing(Enum):
    """How far AWS is with a thing."""

    READY = "ready"
    MAKING = "being made"
    FAILED = "failed"
    GOING = "being deleted"


@dataclass(frozen=True)
class Found:
    """A thing in AWS: its id as Pulumi's provider gives it, and its tags, None where they are not known."""

    id: str
    standing: Standing = Standing.READY
    tags: Mapping[str, str] | None = None
    status: str = ""
    """AWS's word for the standing."""


@dataclass(frozen=True)
class Wanted:
    """A resource whose creation was begun, and where to look for it. `tags` are those that it was to carry."""

    resource: Resource
    clients: Clients
    tags: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, key: str) -> str:
        """Return an input that is text; empty without it."""
        return self.resource.text(key) or ""

    def named(self, names: Iterable[str], name: str = "name", prefix: str = "namePrefix") -> list[str]:
        """Return those of `names` that the provider gives a resource with these inputs."""
        if self[name]:
            return [one for one in names if one == self[name]]
        wanted = self[prefix]
        return [one for one in names if wanted and one.startswith(wanted) and len(one) == len(wanted) + PROVIDER_SUFFIX]


Finder = Callable[[Wanted], Sequence[Found]]
"""Function that returns all that may be what was wanted; nothing where AWS did not make it."""


def tags_of(answer: Mapping[str, Any], key: str = "Tags") -> dict[str, str]:
    """Return tags from AWS's list of keys and values."""
    return {one["Key"]: one.get("Value", "") for one in answer.get(key) or ()}


def standing(status: str, *, making: str = "", failed: str = "", going: str = "") -> Standing:
    """Return the standing by AWS's word; a word that is listed nowhere means ready. Lists are separated by blanks."""
    for result, words in ((Standing.MAKING, making), (Standing.FAILED, failed), (Standing.GOING, going)):
        if status.lower() in words.split():
            return result
    return Standing.READY


def answer(call: Callable[..., Any], **arguments: Any) -> Mapping[str, Any]:
    """Return AWS's answer; an empty one where it says that there is no such thing."""
    try:
        return dict(call(**arguments))
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "404" or "NotFound" in code or code.startswith("NoSuch") or code.endswith(".NotFound"):
            return {}
        raise


def unless_denied(call: Callable[..., Any], **arguments: Any) -> Mapping[str, Any]:
    """Return AWS's answer; an empty one for what this user may not look at."""
    try:
        return answer(call, **arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] == "AccessDeniedException":
            return {}
        raise


def listed(client: Any, call: str, key: str, **arguments: Any) -> list[Any]:
    """Return all that a call lists under `key`, whether it answers in pages or at once."""
    if not client.can_paginate(call):
        return list(answer(getattr(client, call), **arguments).get(key) or ())
    pages = client.get_paginator(call).paginate(**arguments)
    try:
        return [one for page in pages for one in page.get(key) or ()]
    except ClientError:
        # Some lists refuse a name that does not exist; the plain call tells that from other refusals.
        return list(answer(getattr(client, call), **arguments).get(key) or ())

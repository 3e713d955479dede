"""What is right for each operation that was begun and whose end was not recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from mlp.recovery.ec2 import EC2
from mlp.recovery.exported import CREATING, Exported, Operation, Resource
from mlp.recovery.found import Finder, Found, Standing, Wanted
from mlp.recovery.services import SERVICES
from mlp.shared.aws_session import AwsError, Clients, explain_refusal
from mlp.shared.errors import PlatformError

FINDERS: Mapping[str, Finder] = {**EC2, **SERVICES}
"""How a resource of each type is found in AWS."""

_SET = "setting it again is the same"
REPEATED: Mapping[str, str] = {
    "aws:acm/certificateValidation:CertificateValidation": "it only waits",
    "aws:autoscaling/tag:Tag": _SET,
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "AWS made it with the network",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": _SET,
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": _SET,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": _SET,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _SET,
    "aws:s3/bucketNotification:BucketNotification": _SET,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _SET,
    "aws:s3/bucketPolicy:BucketPolicy": _SET,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _SET,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _SET,
    "aws:s3/bucketVersioning:BucketVersioning": _SET,
    "aws:secretsmanager/secretVersion:SecretVersion": "the next version takes its place",
    "aws:sns/topicPolicy:TopicPolicy": _SET,
}
"""Types that are made again without looking, and why nothing is left over then."""

_LOCAL = {
    "docker-build": "it is built and pushed again",
    "pulumi": "it exists in the state alone",
    "random": "it exists in the state alone",
}
"""Packages whose resources have nothing outside of the state that could be left over."""


class Action(Enum):
    """What is done about an operation."""

    ADOPT = "adopt"
    """AWS made it: it is put into the state, and `pulumi up --refresh` goes on with it."""
    REMOVE = "remove"
    """It is there in part: it is put into the state and deleted, and `pulumi up` makes it again."""
    LEFTOVER = "delete later"
    """It is there beside the one in the state: the next `pulumi up` deletes it."""
    FORGET = "forget"
    """Nothing of it is there, or making it again changes nothing: `pulumi up` makes it."""
    REFRESH = "refresh"
    """It was changed, read or deleted: `pulumi up --refresh` looks how far that came."""
    WAIT = "wait"
    """AWS is still at it."""
    ASK = "decide"
    """It cannot be told."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is right for an operation, and why; `id` is that of the thing that was found."""

    operation: Operation
    action: Action
    why: str
    id: str | None = None

    @property
    def open(self) -> bool:
        """Return whether it has to be asked for again."""
        return self.action in {Action.WAIT, Action.ASK}


@dataclass(frozen=True)
class _Decision:
    action: Action
    why: str
    id: str | None = None


class Recovery:
    """Answers for the operations of one state. `clients` gives those of a region; `ids` are the user's by name.

    An id is for a logical name or a URN; an empty one says that AWS has no such thing.
    """

    def __init__(self, state: Exported, clients: Callable[[str], Clients], ids: Mapping[str, str]) -> None:
        self._state, self._ids = state, ids
        self._clients = cache(lambda region: cache(clients(region)))  # making a client takes long
        self._taken: set[str] = set()
        """URNs that an answer has put into the state."""
        unknown = sorted(set(ids) - {key for one in state.operations for key in (one.resource.urn, one.resource.name)})
        if unknown:
            names = ", ".join(sorted({one.resource.name for one in state.operations})) or "none"
            raise PlatformError(f"--id {unknown[0]}: no operation is unfinished on that; unfinished are: {names}")

    def answers(self) -> list[Answer]:
        """Return an answer for each operation. Raise PlatformError where AWS refuses to be asked."""
        return [self._answer(one) for one in self._state.operations]

    def _answer(self, operation: Operation) -> Answer:
        decision = self._decided(operation)
        if decision.action in {Action.ADOPT, Action.REMOVE}:
            self._taken.add(operation.resource.urn)
        return Answer(operation=operation, action=decision.action, id=decision.id, why=decision.why)

    def _decided(self, operation: Operation) -> _Decision:
        resource = operation.resource
        if operation.type != CREATING:
            return _Decision(Action.REFRESH, f"interrupted while {operation.type}")
        given = self._ids.get(resource.urn, self._ids.get(resource.name))
        if given is not None:
            return self._placed(resource, Found(given)) if given else _Decision(Action.FORGET, "as you say")
        package = resource.type.partition(":")[0]
        if package in _LOCAL:
            return _Decision(Action.FORGET, _LOCAL[package])
        if package == "kubernetes":
            return self._in_the_cluster(resource)
        if resource.type in REPEATED:
            return _Decision(Action.FORGET, REPEATED[resource.type])
        if resource.type in FINDERS:
            return self._in_aws(resource)
        found, none = f"--id '{resource.name}=ID'", f"--id '{resource.name}='"
        why = f"no way is known to find a {resource.type}; look for it, then {found}, or {none} where there is none"
        return _Decision(Action.ASK, why)

    def _in_the_cluster(self, resource: Resource) -> _Decision:
        """Return the answer for an object or a release: its name is its id, and it is made anew in seconds."""
        if resource.type.endswith("Patch"):
            return _Decision(Action.FORGET, _SET)
        id_ = object_id(resource)
        if id_ is None:
            return _Decision(Action.ASK, f"its name is not in the state; --id '{resource.name}=NAMESPACE/NAME'")
        other = self._state.live.get(resource.urn)
        if other is None:
            return _Decision(Action.REMOVE, "it is deleted where it is there, perhaps in part", id_)
        if other.id == id_:
            return _Decision(Action.FORGET, "a later run made it")
        first = delete_command(resource)
        return _Decision(Action.ASK, f"it was to replace {other.id}: {first}, then --id '{resource.name}='", id_)

    def _in_aws(self, resource: Resource) -> _Decision:
        try:
            found = FINDERS[resource.type](self._wanted(resource))
        except AwsError as error:
            service = resource.type.removeprefix("aws:").partition("/")[0]
            raise PlatformError(f"nothing was done: {explain_refusal(error, service)}") from error
        known = self._state.ids(resource.type)
        new = [one for one in found if one.id not in known]
        if not new:
            return _Decision(Action.FORGET, "a later run made it" if found else "AWS has none")
        if len(new) > 1:
            ids, one = ", ".join(one.id for one in new), f"--id '{resource.name}=ID'"
            return _Decision(Action.ASK, f"AWS has {len(new)} of it: {ids}; {one} for one, and delete the others")
        return self._placed(resource, new[0])

    def _wanted(self, resource: Resource) -> Wanted:
        provider = self._state.provider_inputs(resource)
        region = resource.text("region") or provider.get("region")
        if not isinstance(region, str):
            raise PlatformError(f"the state does not say in which region {resource.name} is; export it again")
        tags = {**_default_tags(provider), **_texts(resource.inputs.get("tags"))}
        return Wanted(resource, self._clients(region), tags)

    def _placed(self, resource: Resource, found: Found) -> _Decision:
        """Return what becomes of what was found, by how far AWS is with it."""
        status = f" ({found.status})" if found.status else ""
        if found.tags is not None and not self._wanted(resource).tags.items() <= found.tags.items():
            take_over = f"--id '{resource.name}={found.id}'"
            why = f"it is without this environment's tags: is it another's? {take_over} takes it over"
            return _Decision(Action.ASK, why, found.id)
        if found.standing in {Standing.MAKING, Standing.GOING}:
            return _Decision(Action.WAIT, f"AWS is still at it{status}", found.id)
        if resource.urn in self._state.live or resource.urn in self._taken:
            return _Decision(Action.LEFTOVER, "the state has another one", found.id)
        if found.standing is Standing.FAILED:
            return _Decision(Action.REMOVE, f"half made{status}", found.id)
        return _Decision(Action.ADOPT, f"AWS made it{status}", found.id)


def object_id(resource: Resource) -> str | None:
    """Return the id of a Kubernetes object or a Helm release, NAMESPACE/NAME or NAME; None without a name."""
    metadata = resource.inputs.get("metadata")
    named = resource.inputs if resource.type.startswith("kubernetes:helm.sh/") else metadata
    if not isinstance(named, dict) or not isinstance(named.get("name"), str):
        return None
    namespace = named.get("namespace")
    return f"{namespace}/{named['name']}" if isinstance(namespace, str) and namespace else named["name"]


def delete_command(resource: Resource) -> str:
    """Return the command that deletes a Kubernetes object, or a release with all that it installed."""
    namespace, _, name = (object_id(resource) or "").rpartition("/")
    within = f" --namespace {namespace}" if namespace else ""
    if resource.type.startswith("kubernetes:helm.sh/"):
        return f"`helm uninstall {name}{within}`"
    return f"`kubectl delete {resource.type.rpartition(':')[2].lower()} {name}{within}`"


def _default_tags(provider: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags that a provider puts on all it makes; its nested settings are JSON in the state."""
    found = provider.get("defaultTags")
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError:
            return {}
    return _texts(found.get("tags")) if isinstance(found, dict) else {}


def _texts(value: Any) -> dict[str, str]:
    items: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else ()
    return {str(key): one for key, one in items if isinstance(one, str)}

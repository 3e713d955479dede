"""What the offline engine asks of a cloud, and what both clouds share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mlp.shared.errors import PlatformError

ACCOUNT = "123456789012"
"""The account that AWS's own documentation uses, and the emulator's."""
PARTITION = "aws"


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A resource as a program registers it, from the request to the plan that is kept of it.

    In the engine `inputs` are as `values.from_wire` returns them, under wire names; in a plan secrets are `[secret]`.
    """

    urn: str
    type: str
    name: str
    parent: str | None
    custom: bool
    id: str | None = None
    """The physical id that the cloud answered with; None before that, and for a component."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    """URNs of the resources that must exist first."""
    provider: str | None = None
    """URN of the provider resource; None for a package's default provider."""
    aliases: tuple[str, ...] = ()
    """URNs that the resource had before, by its own aliases and its ancestors'."""
    protect: bool = False
    """Whether Pulumi refuses to delete or replace it."""
    ignore_changes: tuple[str, ...] = ()
    """Property paths whose values stay as the last deployment left them."""
    replace_on_changes: tuple[str, ...] = ()
    """Property paths of which any change replaces the resource."""
    delete_before_replace: bool | None = None
    """Whether a replaced resource is deleted first; None leaves it to the provider."""
    retain_on_delete: bool = False
    """Whether a deletion leaves the object in the cloud."""
    deleted_with: str | None = None
    """URN of the resource whose deletion takes this one along, so that the provider is not asked."""
    custom_timeouts: Mapping[str, str] = field(default_factory=dict)
    """Longest time for `create`, `update`, `delete` and `read`, as Go writes durations: `15m`."""


@dataclass(frozen=True, kw_only=True)
class Created:
    """What a cloud answers: the physical id, and the outputs beside the inputs."""

    id: str
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a resource is made."""

    region: str

    def arn(self, service: str, resource: str, *, region: str | None = None, account: str = ACCOUNT) -> str:
        """An ARN of this place; `region=""` for a service without regions."""
        return f"arn:{PARTITION}:{service}:{self.region if region is None else region}:{account}:{resource}"


class Cloud(Protocol):
    """Creates resources and answers lookups. Called from several threads."""

    def create(self, wanted: Registration, inputs: Mapping[str, Any], place: Place) -> Created:
        """Make `wanted`; `inputs` are its inputs with secrets opened. Raises PlatformError, also for unknown types."""

    def invoke(self, token: str, args: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
        """Answer a lookup, a provider function. Raises `UnknownLookupError`."""


class UnknownLookupError(PlatformError):
    """A lookup that the cloud has no answer for."""

    def __init__(self, token: str, module: str) -> None:
        super().__init__(f"{token} is no known lookup; add its answer to {module}")


def physical_name(wanted: Registration) -> str:
    """A name like the ones Pulumi chooses: the logical name and seven hex digits, the same in every run."""
    return f"{wanted.name}-{hex_digits(wanted.urn, 7)}"


def prefixed_name(wanted: Registration, inputs: Mapping[str, Any]) -> str:
    """The name of what is asked for by a prefix, if at all: the provider adds 26 digits of its own."""
    prefix = inputs.get("namePrefix") or inputs.get("bucketPrefix")
    return f"{prefix}{hex_digits(wanted.urn, 26)}" if prefix else physical_name(wanted)


def hex_digits(seed: str, count: int) -> str:
    """The first `count` (up to 64) hex digits that stand for `seed`."""
    return hashlib.sha256(seed.encode()).hexdigest()[:count]

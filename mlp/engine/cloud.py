"""The interface between the offline engine and a cloud, and what both clouds share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mlp.shared.errors import PlatformError

ACCOUNT = "123456789012"
"""AWS account id that AWS's documentation and the emulator use."""
PARTITION = "aws"


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A resource as a program registers it, from the request to the committed plan.

    In the engine `inputs` are as `values.from_wire` returns them, under wire names; in a plan secrets are `[secret]`.
    """

    urn: str
    type: str
    name: str
    parent: str | None
    custom: bool
    id: str | None = None
    """Physical id that the cloud returned; None before creation, and for a component."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    """URNs of the resources that must exist first."""
    provider: str | None = None
    """URN of the provider resource; None for a package's default provider."""
    aliases: tuple[str, ...] = ()
    """Former URNs of the resource, by its own aliases and its ancestors'."""
    protect: bool = False
    """Whether Pulumi refuses to delete or replace it."""
    ignore_changes: tuple[str, ...] = ()
    """Property paths whose values stay as the last deployment left them."""
    replace_on_changes: tuple[str, ...] = ()
    """Property paths any change of which replaces the resource."""
    delete_before_replace: bool | None = None
    """Whether a replaced resource is deleted first; None leaves it to the provider."""
    retain_on_delete: bool = False
    """Whether the object stays in the cloud when the resource is deleted."""
    deleted_with: str | None = None
    """URN of the resource whose deletion deletes this one too, without a call to the provider."""
    custom_timeouts: Mapping[str, str] = field(default_factory=dict)
    """Time-outs of `create`, `update`, `delete` and `read`, as Go durations: `15m`."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Digests of a plan's secret inputs, by their paths: what is `[secret]` on both sides may still differ."""


@dataclass(frozen=True, kw_only=True)
class Created:
    """The result of a creation: the physical id, and the outputs that are not inputs."""

    id: str
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Place:
    """The AWS region in which a resource is created."""

    region: str

    def arn(self, service: str, resource: str, *, region: str | None = None, account: str = ACCOUNT) -> str:
        """Return an ARN in this region; `region=""` for a service without regions."""
        return f"arn:{PARTITION}:{service}:{self.region if region is None else region}:{account}:{resource}"


class Cloud(Protocol):
    """A cloud that creates resources and answers lookups, called from several threads."""

    def create(self, wanted: Registration, inputs: Mapping[str, Any], place: Place) -> Created:
        """Create `wanted` from its `inputs`, secrets revealed. Raise PlatformError, also for an unknown type."""

    def invoke(self, token: str, args: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
        """Return the result of a lookup (a provider function). Raise UnknownLookupError for an unknown one."""


class UnknownLookupError(PlatformError):
    """A lookup that the cloud cannot answer."""

    def __init__(self, token: str, module: str) -> None:
        super().__init__(f"{token} is no known lookup; add its answer to {module}")


def physical_name(wanted: Registration) -> str:
    """Return a name like those that Pulumi chooses: logical name and 7 hex digits, the same in every run."""
    return f"{wanted.name}-{hex_digits(wanted.urn, 7)}"


def prefixed_name(wanted: Registration, inputs: Mapping[str, Any]) -> str:
    """Return the physical name: with a name prefix, that and 26 digits as the provider adds them."""
    prefix = inputs.get("namePrefix") or inputs.get("bucketPrefix")
    return f"{prefix}{hex_digits(wanted.urn, 26)}" if prefix else physical_name(wanted)


def hex_digits(seed: str, count: int) -> str:
    """Return the first `count` (up to 64) hex digits of a hash of `seed`."""
    return hashlib.sha256(seed.encode()).hexdigest()[:count]

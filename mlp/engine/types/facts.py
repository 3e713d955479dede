"""What must be decided about a resource type before a plan may hold one: the form of every row in this folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mlp.engine.cloud import Created, Place, Registration
from mlp.engine.types.request import Handler

Inputs = Mapping[str, Any]
Recorder = Callable[[Registration, Inputs, Place], Created]
"""Answers as the provider would after creating the resource, with ids and ARNs that are the same in every run."""


@dataclass(frozen=True, kw_only=True)
class Forcing:
    """The inputs that a provider cannot change on what is there: another value means another resource.

    A path names an input, or a field within it, and covers all below. The Python SDK's schema does not say it.
    """

    paths: tuple[tuple[str, ...], ...]
    """The paths whose change forces a replacement."""
    perhaps: tuple[tuple[str, ...], ...]
    """The paths that do so for some values alone."""
    source: str
    """The URL where that is written."""


@dataclass(frozen=True)
class Duration:
    """The seconds that a resource typically takes to be made, until what depends on it goes on.

    Typical, not promised: AWS gives no times. Numbers with a source are a round one of the upper half of what logs of
    real deployments show.
    """

    seconds: int
    source: str = "estimate"


class PriceRule(Enum):
    """How what costs something is counted; `mlp.review.cost.rules` has the arithmetic of each."""

    ADDRESS = "address"
    ALARM = "alarm"
    BUCKET = "bucket"
    CLUSTER = "cluster"
    DATABASE = "database"
    DNS_RECORD = "dns record"
    FLOW_LOG = "flow log"
    INGRESS = "ingress"
    KEY = "key"
    LOG_GROUP = "log group"
    NAT_GATEWAY = "nat gateway"
    NODE_GROUP = "node group"
    REPOSITORY = "repository"
    SECRET = "secret"  # noqa: S105  # a price's name, not a password
    VPC_ENDPOINT = "vpc endpoint"
    WEB_ACL = "web acl"


class Pods(Enum):
    """Where the pods that an object of Kubernetes brings are told."""

    NONE = "none"
    MANIFEST = "manifest"
    """In the object itself: a pod template and a number."""
    CHART = "chart"
    """In the values of a Helm release, as its chart reads them."""
    PATCHED = "patched"
    """At what it patches, which it must leave as it is in this."""


@dataclass(frozen=True, kw_only=True)
class TypeFacts:
    """All that is decided about one resource type. Nothing has a default, so that a row forgets nothing."""

    replaced_by: Forcing
    recorder: Recorder | str
    """What the recording cloud answers with, or why no cloud is ever asked for one."""
    takes: Duration | Callable[[Inputs], Duration]
    """How long bring-up waits for one, whatever its inputs or by them."""
    precious: str | None
    """What is lost with one, in words, where it holds data or carries everything; None for what comes and goes."""
    price: PriceRule | str
    """How it is counted, or why one costs nothing by itself."""

    def duration(self, inputs: Inputs) -> Duration:
        """Return how long a resource of this type with these inputs typically takes to be made."""
        return self.takes(inputs) if callable(self.takes) else self.takes


@dataclass(frozen=True, kw_only=True)
class AwsType(TypeFacts):
    """A type that AWS makes, which an emulator of AWS may make as well."""

    emulator: Handler | str
    """What creates one in the emulator, or why that cannot; it is then recorded there, too."""


@dataclass(frozen=True, kw_only=True)
class KubernetesType(TypeFacts):
    """A kind of Kubernetes object, or a Helm release."""

    pods: Pods


def forced_by(source: str, paths: str, perhaps: str = "") -> Forcing:
    """Return what forces a replacement, from dotted paths between spaces."""
    return Forcing(paths=_split(paths), perhaps=_split(perhaps), source=source)


def _split(paths: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(path.split(".")) for path in paths.split())

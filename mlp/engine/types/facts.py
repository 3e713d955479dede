"""The form of the rows in this folder: what must be decided about a resource type before a plan may contain it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mlp.engine.cloud import Created, Place, Registration
from mlp.engine.types.request import Handler

Inputs = Mapping[str, Any]
Recorder = Callable[[Registration, Inputs, Place], Created]
"""A function that returns what the provider would after creation, with ids and ARNs that never vary."""


@dataclass(frozen=True, kw_only=True)
class Forcing:
    """The inputs that a provider cannot change in place: another value means another resource.

    A path names an input, or a field within it, and covers all below. The Python SDK's schema does not contain it.
    """

    paths: tuple[tuple[str, ...], ...]
    """Paths whose change forces a replacement."""
    perhaps: tuple[tuple[str, ...], ...]
    """Paths whose change forces a replacement for some values alone."""
    source: str
    """URL of the source."""


@dataclass(frozen=True)
class Duration:
    """The seconds that the creation of a resource typically takes, until its dependents can start.

    Typical, not promised: AWS gives no times. Numbers with a source are a round one of the upper half of what logs of
    real deployments show.
    """

    seconds: int
    source: str = "estimate"


class PriceRule(Enum):
    """The rules by which a resource is priced; `mlp.review.cost.rules` has the arithmetic of each."""

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
    """The places where the pods of a Kubernetes object are specified."""

    NONE = "none"
    MANIFEST = "manifest"
    """The object itself: a pod template and a replica count."""
    CHART = "chart"
    """The values of a Helm release, as its chart reads them."""
    PATCHED = "patched"
    """The object that this one patches; the patch must not change its pods."""


@dataclass(frozen=True, kw_only=True)
class TypeFacts:
    """All that is decided about one resource type. Nothing has a default, so that no row omits a field."""

    replaced_by: Forcing
    recorder: Recorder | str
    """Recorder of the recording cloud, or the reason why no cloud is ever asked to create one."""
    takes: Duration | Callable[[Inputs], Duration]
    """Duration of the creation, fixed or by the inputs."""
    precious: str | None
    """What is lost with one, in words, where it holds data or carries everything; None if it is disposable."""
    price: PriceRule | str
    """Rule by which it is priced, or the reason why it costs nothing by itself."""

    def duration(self, inputs: Inputs) -> Duration:
        """Return how long the creation of a resource of this type with these inputs typically takes."""
        return self.takes(inputs) if callable(self.takes) else self.takes


@dataclass(frozen=True, kw_only=True)
class AwsType(TypeFacts):
    """A type that AWS creates, and perhaps an emulator of AWS too."""

    emulator: Handler | str
    """Handler that creates one in the emulator, or the reason why it cannot; it is then only recorded."""


@dataclass(frozen=True, kw_only=True)
class KubernetesType(TypeFacts):
    """A kind of Kubernetes object, or a Helm release."""

    pods: Pods


def forced_by(source: str, paths: str, perhaps: str = "") -> Forcing:
    """Return what forces a replacement, from dotted paths separated by spaces."""
    return Forcing(paths=_split(paths), perhaps=_split(perhaps), source=source)


def _split(paths: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(path.split(".")) for path in paths.split())

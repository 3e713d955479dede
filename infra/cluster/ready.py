"""A cluster into which services may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pulumi

from infra.cluster.namespaces import Peer


@dataclass(frozen=True, kw_only=True)
class ClusterReady:
    """What every service must know of the cluster that it goes into; no value carries the two orders."""

    base: Sequence[pulumi.Resource]
    """Must stand as long as a namespace has anything in it."""
    secrets: Sequence[pulumi.Resource]
    """Must stand before an ExternalSecret is made."""
    domain: str | None
    """Where people reach services from outside, at `<service>.<domain>`; None where they do not."""
    load_balancer: tuple[Peer, ...]
    """From where they are reached then."""

    def after(self, *more: pulumi.Resource) -> ClusterReady:
        """Return the same cluster where `more` must stand as long, too."""
        return replace(self, base=[*self.base, *more])

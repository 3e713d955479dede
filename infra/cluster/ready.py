"""A cluster that is ready for services."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pulumi

from infra.cluster.namespaces import Peer


@dataclass(frozen=True, kw_only=True)
class ClusterReady:
    """What every service must know of its cluster, with the two orders of creation that no value carries."""

    base: Sequence[pulumi.Resource]
    """Resources that must exist as long as a namespace has anything in it."""
    secrets: Sequence[pulumi.Resource]
    """Resources that must exist before an ExternalSecret is made."""
    domain: str | None
    """Domain below which people reach services from outside, at `<service>.<domain>`; None where they do not."""
    load_balancer: tuple[Peer, ...]
    """Peers from which the load balancer reaches the services; empty without a domain."""

    def after(self, *more: pulumi.Resource) -> ClusterReady:
        """Return the same cluster with `more` among the resources that must exist as long as a namespace is in use."""
        return replace(self, base=[*self.base, *more])

"""What the components' tests hand in where the value does not matter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pulumi

from infra.cluster.ready import ClusterReady
from infra.environment import Environment
from infra.identity.identity import OidcIssuer

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
ISSUER_URL = "oidc.eks.us-east-1.amazonaws.com/id/ABC"
ENVIRONMENT = Environment(
    name="test",
    region="us-east-1",
    partition="aws",
    account="123456789012",
    deletable=False,
    permissions_boundary=None,
)
CLUSTER = ClusterReady(base=(), secrets=(), domain=None, load_balancer=())


def environment(**changes: Any) -> Environment:
    """Return `ENVIRONMENT` with other values."""
    return replace(ENVIRONMENT, **changes)


def issuer() -> OidcIssuer:
    return OidcIssuer(
        provider_arn=pulumi.Output.from_input(f"arn:aws:iam::123456789012:oidc-provider/{ISSUER_URL}"),
        url=pulumi.Output.from_input(ISSUER_URL),
    )

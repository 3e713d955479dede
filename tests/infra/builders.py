"""What the components' tests hand in where the value does not matter."""

from __future__ import annotations

import pulumi

from infra.identity.identity import OidcIssuer, RoleDefaults

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
ISSUER_URL = "oidc.eks.us-east-1.amazonaws.com/id/ABC"
ROLES = RoleDefaults(partition="aws", path="/ml-platform/test/", permissions_boundary=None)


def issuer() -> OidcIssuer:
    return OidcIssuer(
        provider_arn=pulumi.Output.from_input(f"arn:aws:iam::123456789012:oidc-provider/{ISSUER_URL}"),
        url=pulumi.Output.from_input(ISSUER_URL),
    )

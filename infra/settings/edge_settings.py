"""Settings of the entrance from outside."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from infra.settings.stack_settings import SettingsModel

HttpsUrl = Annotated[str, Field(pattern=r"^https://[a-z0-9.-]+(/[^\s?#]*)?$")]
SecretArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:.+$")]


class OidcSettings(SettingsModel):
    """The provider at which browsers sign in; its `/.well-known/openid-configuration` has the addresses."""

    issuer: HttpsUrl
    """Issuer, the provider's name for itself."""
    authorization_endpoint: HttpsUrl
    """URL at which browsers sign in."""
    token_endpoint: HttpsUrl
    """URL at which the load balancer gets tokens."""
    user_info_endpoint: HttpsUrl
    """URL at which the load balancer asks who a user is."""
    client_secret_arn: SecretArn
    """ARN of a secret `{"client_id": "...", "client_secret": "..."}` under the environment's prefix."""
    scope: str = Field(default="openid", pattern=r"^openid( [a-z_:./-]+)*$")
    """OAuth scopes that the provider is asked for."""
    session_hours: int = Field(default=12, ge=1, le=168)
    """Hours for which a browser stays signed in."""


class EdgeSettings(SettingsModel):
    """The entrance from outside: certificate, firewall and rate limit of the load balancer."""

    domain: str | None = Field(default=None, pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$")
    """Domain of the services, which are reached at `<service>.<domain>`."""
    zone_id: str | None = Field(default=None, pattern=r"^Z[A-Z0-9]{5,31}$")
    """Route 53 zone of the domain, in which the certificate is validated; `mlp bootstrap --zone` makes one."""
    certificate_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/.+$")
    """ARN of a certificate that exists, instead of a new one."""
    allowed_cidrs: tuple[IPv4Network, ...] = ()
    """Address ranges that may reach the load balancer."""
    requests_per_5_minutes: int | None = Field(default=2000, ge=10, le=2_000_000_000)
    """Requests that one address may make before it is blocked for a while; null for no limit."""
    oidc: OidcSettings | None = None
    """Sign-in in front of every service; null for none. Programs outside the cluster cannot pass it."""
    enabled: bool = False
    """Whether there is an entrance; without one, services are reached by `kubectl port-forward`."""

    @field_validator("enabled")
    @classmethod
    def _it_can_be_opened(cls, enabled: bool, info: ValidationInfo) -> bool:
        given = info.data  # without the fields that have a fault of their own
        missing: list[str] = [name for name in ("domain", "allowed_cidrs") if name in given and not given[name]]
        if not (given.get("zone_id", "faulty") or given.get("certificate_arn", "faulty")):
            missing.append("zone_id or certificate_arn")
        if enabled and missing:
            raise ValueError(f"an entrance needs {', '.join(missing)}")
        return enabled

"""Ingresses, which make services reachable from outside: one load balancer, a name each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from infra.controllers.controllers import LOAD_BALANCER_ACCOUNT
from infra.data.external_secret import ExternalSecret, ExternalSecretArgs
from infra.environment import Environment
from infra.settings.edge_settings import OidcSettings

GROUP = "ml-platform"
IDLE_TIMEOUT_S = 300
"""Seconds that a connection may be idle, which an upload is while the service still writes it."""
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""Security policy of the load balancer: TLS 1.2 and 1.3, without older ciphers."""

_PREFIX = "alb.ingress.kubernetes.io/"
_RESPONSE_HEADERS = {
    "strict_transport_security": "max-age=31536000",
    "x_content_type_options": "nosniff",
    "x_frame_options": "SAMEORIGIN",
}


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A service that people reach at `<host>.<domain>`: its address, and the health check of the load balancer."""

    host: str
    namespace: str
    service: str
    port: int
    health_path: str
    needs: Sequence[pulumi.Resource]
    """Resources that must exist before the service can be reached: its release."""


@dataclass(frozen=True, kw_only=True)
class IngressArgs:
    """Inputs of `Ingress`. `edge` is what `Edge` offers; names are made in `zone_id`, if one is given."""

    environment: Environment
    backend: Backend
    domain: str
    zone_id: str | None
    edge: Mapping[str, pulumi.Input[str]]
    controller: pulumi.Resource
    """The controller that makes the load balancer, and must exist until it is gone."""
    oidc: OidcSettings | None = None
    """Provider at which browsers sign in before they reach the service; None without one."""
    secrets: Sequence[pulumi.Resource] = ()
    """Resources that must exist before an ExternalSecret is made."""


class Ingress(pulumi.ComponentResource):
    """The ingress of one service, through the load balancer that all share, and its name."""

    url: str

    def __init__(self, name: str, args: IngressArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:ingress:Ingress", name, None, opts)
        backend = args.backend
        host = f"{backend.host}.{args.domain}"
        service = {"name": backend.service, "port": {"number": backend.port}}
        annotations = load_balancer_annotations(args.environment.name, backend, args.edge)
        needs = [args.controller, *backend.needs]
        if args.oidc:
            client, ready = self._oidc_client(name, args, args.oidc)
            annotations |= sign_in_annotations(args.oidc, client)
            needs += ready
        path: Any = {"path": "/", "path_type": "Prefix", "backend": {"service": service}}
        ingress = kubernetes.networking.v1.Ingress(
            name,
            metadata={
                "name": backend.host,
                "namespace": backend.namespace,
                "annotations": annotations,
            },
            spec={
                "ingress_class_name": "alb",
                "rules": [{"host": host, "http": {"paths": [path]}}],
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=needs),
        )
        if args.zone_id is not None:
            aws.route53.Record(
                f"{name}-name",
                zone_id=args.zone_id,
                name=host,
                type="CNAME",
                ttl=300,
                records=[ingress.status.apply(_address)],
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.url = f"https://{host}"
        self.register_outputs({"url": self.url})

    def _oidc_client(self, name: str, args: IngressArgs, oidc: OidcSettings) -> tuple[str, list[pulumi.Resource]]:
        """Create the Secret with the provider's client, for the controller; return its name and what it awaits."""
        namespace, child = args.backend.namespace, pulumi.ResourceOptions(parent=self)
        client = ExternalSecret(
            f"{name}-client",
            ExternalSecretArgs(
                name="sign-in-client",
                namespace=namespace,
                # The controller's names for them.
                keys={
                    "clientID": (oidc.client_secret_arn, "client_id"),
                    "clientSecret": (oidc.client_secret_arn, "client_secret"),
                },
                # The release, since its namespace exists then.
                needs=[*args.secrets, *args.backend.needs],
            ),
            child,
        )
        metadata: Any = {"name": "load-balancer-reads-sign-in-client", "namespace": namespace}
        # It keeps a watch on the one Secret.
        rule: Any = {
            "api_groups": [""],
            "resources": ["secrets"],
            "resource_names": [client.secret_name],
            "verbs": ["get", "list", "watch"],
        }
        controller: Any = {
            "kind": "ServiceAccount",
            "name": LOAD_BALANCER_ACCOUNT.name,
            "namespace": LOAD_BALANCER_ACCOUNT.namespace,
        }
        role = kubernetes.rbac.v1.Role(
            f"{name}-reads-client",
            metadata=metadata,
            rules=[rule],
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.backend.needs)),
        )
        binding = kubernetes.rbac.v1.RoleBinding(
            f"{name}-reads-client",
            metadata=metadata,
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": metadata["name"]},
            subjects=[controller],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role]),
        )
        return client.secret_name, [client.ready, binding]


def load_balancer_annotations(
    environment: str, backend: Backend, edge: Mapping[str, pulumi.Input[str]]
) -> dict[str, pulumi.Input[str]]:
    """Return the settings of the AWS Load Balancer Controller; every value is text.

    What concerns the load balancer as a whole must be the same in every ingress of the group.
    """
    annotations: dict[str, pulumi.Input[str]] = {
        "group.name": f"{GROUP}-{environment}",
        "scheme": "internet-facing",
        "target-type": "ip",
        "listen-ports": json.dumps([{"HTTP": 80}, {"HTTPS": 443}]),
        "ssl-redirect": "443",
        "ssl-policy": TLS_POLICY,
        "certificate-arn": edge["certificate_arn"],
        "security-groups": edge["security_group_id"],
        # The rules that let the load balancer reach pods; without this, ours would have to name each port.
        "manage-backend-security-group-rules": "true",
        "load-balancer-attributes": (
            f"idle_timeout.timeout_seconds={IDLE_TIMEOUT_S},routing.http.drop_invalid_header_fields.enabled=true"
        ),
        "listener-attributes.HTTPS-443": ",".join(
            f"routing.http.response.{header}.header_value={value}" for header, value in _RESPONSE_HEADERS.items()
        ),
        "healthcheck-path": backend.health_path,
    }
    if "web_acl_arn" in edge:
        annotations["wafv2-acl-arn"] = edge["web_acl_arn"]
    return {f"{_PREFIX}{key}": value for key, value in annotations.items()}


def sign_in_annotations(oidc: OidcSettings, secret_name: str) -> dict[str, pulumi.Input[str]]:
    """Return the controller's settings for the provider at which browsers sign in; the Secret has the client
    (https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/#authentication)."""
    provider = {
        "issuer": oidc.issuer,
        "authorizationEndpoint": oidc.authorization_endpoint,
        "tokenEndpoint": oidc.token_endpoint,
        "userInfoEndpoint": oidc.user_info_endpoint,
        "secretName": secret_name,
    }
    annotations = {
        "auth-type": "oidc",
        "auth-idp-oidc": json.dumps(provider),
        "auth-scope": oidc.scope,
        "auth-session-timeout": str(oidc.session_hours * 3600),
        "auth-on-unauthenticated-request": "authenticate",
    }
    return {f"{_PREFIX}{key}": value for key, value in annotations.items()}


def _address(status: Any) -> str:
    """Return the load balancer's own name; Pulumi waits for an ingress to have one."""
    host: str = status.load_balancer.ingress[0].hostname
    return host

"""The databases inside the instance: one for each service, with an owner of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from infra.cluster.namespaces import Namespace, NamespaceArgs
from infra.cluster.one_time_job import one_time_job
from infra.cluster.pod_security import CONFINED, READ_ONLY, running_as
from infra.cluster.ready import ClusterReady
from infra.data.external_secret import ExternalSecret, ExternalSecretArgs

NAMESPACE = "database-bootstrap"
POSTGRES_IMAGE = (
    "docker.io/library/postgres:17-alpine@sha256:742f40ea20b9ff2ff31db5458d127452988a2164df9e17441e191f3b72252193"
)
_SCRIPT = Path(__file__).with_name("database_bootstrap.sh")
_USER = 70
"""User id of the image's own user."""


@dataclass(frozen=True, kw_only=True)
class DatabaseBootstrapArgs:
    """Inputs of `DatabaseBootstrap`: the ARNs of the administrator's and the owners' logins in Secrets Manager."""

    host: pulumi.Input[str]
    admin_secret_arn: pulumi.Input[str]
    owner_secret_arns: Mapping[str, pulumi.Input[str]]
    password_generation: int
    cluster: ClusterReady


class DatabaseBootstrap(pulumi.ComponentResource):
    """A Job that makes each owner and its database, and sets its password; what exists is left as it is."""

    done: pulumi.Resource
    """The Job, which exists once the databases can be used; no value carries that."""

    def __init__(self, name: str, args: DatabaseBootstrapArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:database:DatabaseBootstrap", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        namespace = Namespace(
            f"{name}-namespace",
            NamespaceArgs(name=NAMESPACE, pod_security="restricted", needs=args.cluster.base),
            child,
        )
        keys: dict[str, tuple[pulumi.Input[str], str]] = {
            "PGUSER": (args.admin_secret_arn, "username"),
            "PGPASSWORD": (args.admin_secret_arn, "password"),
        }
        for owner, arn in args.owner_secret_arns.items():
            keys[f"PASSWORD_{owner}"] = (arn, "password")
        logins = ExternalSecret(
            f"{name}-logins",
            ExternalSecretArgs(
                name="database-logins",
                namespace=namespace.name,
                keys=keys,
                generation=args.password_generation,
                needs=[*args.cluster.secrets, *namespace.ready],
            ),
            child,
        )
        script = _SCRIPT.read_text()
        owners = sorted(args.owner_secret_arns)
        self.done = one_time_job(
            name,
            name=name,
            namespace=namespace.name,
            inputs=[script, owners, args.password_generation],
            pod={
                "priority_class_name": "platform-system",
                "security_context": running_as(_USER),
                "containers": [_container(script, owners, args.host, logins.secret_name)],
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logins.ready]),
        )
        self.register_outputs({})


def _container(script: str, owners: Sequence[str], host: pulumi.Input[str], secret: str) -> dict[str, Any]:
    return {
        "name": "psql",
        "image": POSTGRES_IMAGE,
        "command": ["sh", "-ec", script, "bootstrap", *owners],
        "env": [
            {"name": "PGHOST", "value": host},
            {"name": "PGDATABASE", "value": "postgres"},
            {"name": "PGSSLMODE", "value": "require"},
            {"name": "PGCONNECT_TIMEOUT", "value": "10"},
        ],
        "env_from": [{"secret_ref": {"name": secret}}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "security_context": {**CONFINED, **READ_ONLY},
    }

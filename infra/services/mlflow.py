"""MLflow in the cluster: tracking server and model registry behind a login."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from infra.database import DATABASE_NAME, POSTGRES_PORT
from infra.identity import ServiceAccount
from infra.image import Image
from infra.secrets import StoredSecret, StoredSecretArgs, generated_password

CHART_REPOSITORY = "https://community-charts.github.io/helm-charts"
CHART_VERSION = "1.11.5"
NAMESPACE = "mlflow"
SERVICE_ACCOUNT = ServiceAccount(namespace=NAMESPACE, name="mlflow")
SERVICE_URL = f"http://mlflow.{NAMESPACE}.svc.cluster.local"
ADMIN_USERNAME = "admin"
DATABASE_SECRET = "mlflow-database"  # noqa: S105  the name of a Secret
ADMIN_SECRET = "mlflow-admin"  # noqa: S105  the name of a Secret


@dataclass(frozen=True, kw_only=True)
class MlflowArgs:
    """Inputs of `Mlflow`. Artifacts go through the server to `bucket`, with the rights of `role_arn`."""

    environment: str
    database_host: pulumi.Input[str]
    database_username: pulumi.Input[str]
    database_password: pulumi.Input[str]
    bucket: pulumi.Input[str]
    role_arn: pulumi.Input[str]
    region: str
    image: Image
    password_generation: int
    """A new one starts the server anew, since it reads the database's password when it starts."""
    needs: Sequence[pulumi.Resource]
    """What must stand as long as anything runs in the namespace."""
    deletable: bool
    """Whether a deleted login is gone at once."""


class Mlflow(pulumi.ComponentResource):
    """The MLflow server's release, its namespace and its logins; reached inside the cluster at `url`."""

    url: str
    login_secret_arn: pulumi.Output[str]

    def __init__(self, name: str, args: MlflowArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:services:Mlflow", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        namespace = kubernetes.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": NAMESPACE},
            # It takes pods and volumes with it when it goes, for which nodes and drivers must still be there.
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.needs)),
        )
        password = generated_password(f"{name}-admin-password", opts=child)
        flask_secret = random.RandomPassword(f"{name}-flask-secret", length=48, special=False, opts=child)
        database = kubernetes.core.v1.Secret(
            f"{name}-database",
            metadata={"name": DATABASE_SECRET, "namespace": namespace.metadata.name},
            string_data={"username": args.database_username, "password": args.database_password},
            opts=child,
        )
        admin = kubernetes.core.v1.Secret(
            f"{name}-admin",
            metadata={"name": ADMIN_SECRET, "namespace": namespace.metadata.name},
            string_data={"username": ADMIN_USERNAME, "password": password},
            opts=child,
        )
        login = StoredSecret(
            f"{name}-login",
            StoredSecretArgs(
                environment=args.environment,
                recovery_days=0 if args.deletable else 30,
                value={"username": ADMIN_USERNAME, "password": password},
            ),
            child,
        )
        kubernetes.helm.v3.Release(
            f"{name}-release",
            name="mlflow",
            namespace=namespace.metadata.name,
            chart="mlflow",
            version=CHART_VERSION,
            repository_opts={"repo": CHART_REPOSITORY},
            timeout=900,
            values=_values(
                args,
                database_secret=database.metadata.name,
                admin_secret=admin.metadata.name,
                flask_secret=flask_secret.result,
            ),
            opts=child,
        )

        self.url = SERVICE_URL
        self.login_secret_arn = login.arn
        self.register_outputs({"url": self.url, "login_secret_arn": self.login_secret_arn})


def _values(
    args: MlflowArgs,
    *,
    database_secret: pulumi.Input[str | None],
    admin_secret: pulumi.Input[str | None],
    flask_secret: pulumi.Input[str],
) -> dict[str, Any]:
    """The chart's values; keys as in its values.schema.json, which refuses unknown ones."""
    image = args.image
    return {
        "image": {"repository": image.repository_url, "digest": image.digest},
        # The migration's image is named by tag alone; ours never moves.
        "initImages": {"mlflowDbMigration": {"repository": image.repository_url, "tag": image.tag}},
        "backendStore": {
            "databaseMigration": True,
            "databaseConnectionCheck": True,
            "postgres": {
                "enabled": True,
                "host": args.database_host,
                "port": POSTGRES_PORT,
                "database": DATABASE_NAME,
            },
            "existingDatabaseSecret": {"name": database_secret, "usernameKey": "username", "passwordKey": "password"},
        },
        "artifactRoot": {
            "proxiedArtifactStorage": True,
            "s3": {"enabled": True, "bucket": args.bucket, "path": "mlflow"},
        },
        "auth": {
            "enabled": True,
            # The only folder that may be written. The chart glues `sqliteFullPath` and file without a slash, so the
            # path is given whole. The admin is made anew from its Secret with each pod.
            "sqliteFile": "/tmp/basic_auth.db",  # noqa: S108  inside the pod
            "existingAdminSecret": {"name": admin_secret, "usernameKey": "username", "passwordKey": "password"},
        },
        "podAnnotations": {"ml-platform/password-generation": str(args.password_generation)},
        "flaskServerSecretKey": flask_secret,
        # A client's Host header must be one of these; probes reach /health by the pod's address and are exempt.
        "serverAllowedHosts": ["mlflow", f"mlflow.{NAMESPACE}", f"mlflow.{NAMESPACE}.svc.cluster.local", "localhost:*"],
        "serviceAccount": {
            "create": True,
            "name": SERVICE_ACCOUNT.name,
            "annotations": {"eks.amazonaws.com/role-arn": args.role_arn},
        },
        # RDS refuses a connection without TLS.
        "extraEnvVars": {"PGSSLMODE": "require", "AWS_DEFAULT_REGION": args.region},
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
    }

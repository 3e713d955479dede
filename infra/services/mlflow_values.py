"""The values of MLflow's chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from infra.cluster.pod_security import SECCOMP
from infra.data.database import POSTGRES_PORT
from infra.data.image import Image
from infra.services.mlflow_access import AUTHORIZATION_FUNCTION
from infra.settings.service_settings import MlflowSettings

DRIVER = "psycopg2"
"""SQLAlchemy's driver of the databases; without a name it takes another one, which the image does not have."""


def mlflow_values(
    settings: MlflowSettings,
    *,
    image: Image,
    region: str,
    host: pulumi.Input[str],
    database: str,
    auth: str,
    admin: str,
    flask_secret: pulumi.Input[str],
    bucket: pulumi.Input[str],
    role_arn: pulumi.Input[str],
    account: str,
    names: Sequence[str],
    pod_hosts: str,
    domain: str | None,
    labels: Mapping[str, str],
) -> dict[str, Any]:
    """Return the chart's values; keys as in its values.schema.json, which refuses unknown ones.

    `database`, `auth` and `admin` name the Secrets with the logins. The server answers to `names`, to `pod_hosts` and,
    with a `domain`, to its public name.
    """
    login = {"usernameKey": "username", "passwordKey": "password"}
    server = {"enabled": True, "host": host, "port": POSTGRES_PORT, "driver": DRIVER}
    public = [f"mlflow.{domain}"] if domain else []
    return {
        "image": {"repository": image.repository_url, "digest": image.digest},
        # The chart has no digest of the migration's image, but writes what it takes for the tag behind a colon.
        "initImages": {"mlflowDbMigration": {"repository": image.repository_url, "tag": image.pinned_tag}},
        "replicaCount": settings.min_replicas,
        # The chart leaves the autoscaler out unless records, artifacts and logins all lie outside the pods.
        "autoscaling": {
            "enabled": settings.max_replicas > settings.min_replicas,
            "minReplicas": settings.min_replicas,
            "maxReplicas": settings.max_replicas,
            # By work alone: a Python server does not give memory back, so that by memory none would ever be ended.
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                }
            ],
        },
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "backendStore": {
            "databaseMigration": True,
            "databaseConnectionCheck": True,
            "postgres": {**server, "database": "mlflow"},
            "existingDatabaseSecret": {"name": database, **login},
        },
        "artifactRoot": {
            "proxiedArtifactStorage": True,
            "s3": {"enabled": True, "bucket": bucket, "path": "mlflow"},
        },
        "auth": {
            "enabled": True,
            "defaultPermission": "READ",
            "authorizationFunction": AUTHORIZATION_FUNCTION,
            "existingAdminSecret": {"name": admin, **login},
            "postgres": {**server, "database": "mlflow_auth", "existingSecret": {"name": auth, **login}},
        },
        "flaskServerSecretKey": flask_secret,
        # A request's Host header must be one of these; the load balancer's and the kubelet's checks ask /health, which
        # is exempt, and Prometheus asks pods by their address.
        "serverAllowedHosts": [*public, *names, pod_hosts, "localhost:*"],
        "corsAllowedOrigins": [f"https://{host}" for host in public],
        "serviceAccount": {
            "create": True,
            "name": account,
            "annotations": {"eks.amazonaws.com/role-arn": role_arn},
        },
        "extraArgs": {
            "workers": "2",
            # The chart's own switch brings a monitor without a login.
            "exposePrometheus": "/tmp/metrics",  # noqa: S108  inside the pod
        },
        # RDS refuses a connection without TLS.
        "extraEnvVars": {"PGSSLMODE": "require", "AWS_DEFAULT_REGION": region},
        "podSecurityContext": {"fsGroup": 1001, **SECCOMP},
        "priorityClassName": "platform-service",
        "affinity": _spread_over_zones(labels),
        "resources": {"requests": {"cpu": "250m", "memory": "768Mi"}, "limits": {"memory": "2Gi"}},
    }


def _spread_over_zones(labels: Mapping[str, str]) -> dict[str, Any]:
    """Return constraints that spread servers over different zones, where there is room."""
    term = {"topologyKey": "topology.kubernetes.io/zone", "labelSelector": {"matchLabels": dict(labels)}}
    return {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]
        }
    }

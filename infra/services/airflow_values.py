"""Values of the Airflow chart; keys as in its values.schema.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi

from infra.cluster.pod_security import HARDENED, IMAGE_USERS, NOBODY, running_as
from infra.data.image import Image
from infra.servers import airflow as server
from infra.settings.service_settings import AirflowSettings

DAGS_FOLDER = "workloads/dags"
WORKLOADS = "workloads"
"""Name of the ConfigMap that the workloads stack fills; pipelines find its entries as files in `WORKLOADS_FOLDER`."""
WORKLOADS_FOLDER = "/opt/airflow/workloads"
# The image's files belong to group 0, and it runs as no other.
AIRFLOW_USER: Any = running_as(IMAGE_USERS["airflow"], group=0)
TMP = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108  inside the pod; all else but logs is read-only


def airflow_values(
    *,
    settings: AirflowSettings,
    region: str,
    image: Image,
    role_arns: Mapping[str, pulumi.Input[str]],
    log_folder: pulumi.Input[str],
    domain: str | None,
    variables: Mapping[str, pulumi.Input[str]],
    secret: str,
    tracking_secret: str,
) -> dict[str, Any]:
    """Return the chart's values.

    `role_arns` are those of `worker`, `triggerer` and `api_server`. `secret` has the keys `connection`,
    `connection-async`, `fernet-key`, `jwt-secret` and `api-secret-key`, and `tracking_secret` has `connection`.
    """
    ours = {
        "repository": image.repository_url,
        # Neither the pods of tasks nor the executor's settings have a place for a digest of its own.
        "tag": image.pinned_tag,
    }
    several = {"enabled": settings.replicas > 1, "config": {"maxUnavailable": 1}}
    # Importing Airflow alone takes seconds on a busy node: five minutes to start, half a one to answer.
    slow_start = {"startupProbe": {"failureThreshold": 30}}
    slow_answer = {"livenessProbe": {"timeoutSeconds": 30}}
    without_log_groomer = {"logGroomerSidecar": {"enabled": False}}  # logs are deleted once they are in the bucket
    return {
        "airflowVersion": server.VERSION,
        "useStandardNaming": True,
        "enableServiceLinks": False,
        "executor": "KubernetesExecutor",
        # It would be for tasks and the triggerer, too; the scheduler has a role of ours.
        "allowPodLaunching": False,
        "images": {"airflow": ours, "pod_template": ours},
        "securityContexts": {
            "pod": AIRFLOW_USER,
            "containers": HARDENED,
        },
        # The program migrates the database and makes the first user before the release: as hooks, the chart's Jobs wait
        # for pods that wait for them; as plain Jobs they stop an upgrade that comes within their time to live; and the
        # password would be a value.
        "migrateDatabaseJob": {"enabled": False, "serviceAccount": {"create": False}},
        "createUserJob": {"enabled": False, "serviceAccount": {"create": False}},
        "postgresql": {"enabled": False},
        "redis": {"enabled": False},
        "data": {"metadataSecretName": secret},
        # A connection by which tasks would reach Airflow's own records; it knows no URL that names a driver.
        "enableBuiltInSecretEnvVars": {"AIRFLOW_CONN_AIRFLOW_DB": False},
        "fernetKeySecretName": secret,
        "jwtSecretName": secret,
        "apiSecretKeySecretName": secret,
        "secret": [
            {
                "envName": "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC",
                "secretName": secret,
                "secretKey": "connection-async",
            },
            {"envName": "AIRFLOW_CONN_MLFLOW", "secretName": tracking_secret, "secretKey": "connection"},
        ],
        "env": [{"name": key, "value": value} for key, value in _environment(region, variables).items()],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            # Files change with it, without a restart.
            {"name": "workloads", "configMap": {"name": WORKLOADS}},
        ],
        "volumeMounts": [TMP, {"name": "workloads", "mountPath": WORKLOADS_FOLDER, "readOnly": True}],
        "apiServer": {
            "replicas": settings.replicas,
            "args": list(server.API_SERVER_ARGUMENTS),
            "env": [{"name": name, "value": value} for name, value in server.API_SERVER_ENVIRONMENT.items()],
            "resources": server.RESOURCES["apiServer"],
            "serviceAccount": _account(role_arns["api_server"]),
            **_SERVICE,
            **slow_start,
            "podDisruptionBudget": several,
            "waitForMigrations": {"enabled": False},
        },
        "scheduler": {
            "replicas": settings.replicas,
            "resources": server.RESOURCES["scheduler"],
            **_SERVICE,
            **slow_start,
            **slow_answer,
            **without_log_groomer,
            "podDisruptionBudget": several,
            "waitForMigrations": {"enabled": False},
        },
        "dagProcessor": {
            "enabled": True,
            "resources": server.RESOURCES["dagProcessor"],
            "serviceAccount": {"automountServiceAccountToken": False},
            **_SERVICE,
            **slow_answer,
            # What parsing says goes to no bucket.
            "logGroomerSidecar": {"retentionDays": 1, "resources": server.RESOURCES["logGroomer"]},
            "waitForMigrations": {"enabled": False},
        },
        "triggerer": {
            "resources": server.RESOURCES["triggerer"],
            "serviceAccount": _account(role_arns["triggerer"]),
            **_SERVICE,
            **slow_answer,
            **without_log_groomer,
            "persistence": {"enabled": False},
            "waitForMigrations": {"enabled": False},
        },
        "workers": {
            "kubernetes": {
                "resources": server.RESOURCES["task"],
                "serviceAccount": {"create": True, "name": "airflow-worker", **_account(role_arns["worker"])},
                "priorityClassName": "training",
            }
        },
        "databaseCleanup": {
            "enabled": True,
            "retentionDays": 90,
            "skipArchive": True,  # else what is cleaned stays in tables beside
            "resources": server.RESOURCES["databaseCleanup"],
            "serviceAccount": {"automountServiceAccountToken": False},
            **_SERVICE,
        },
        "statsd": {
            "resources": server.RESOURCES["statsd"],
            "serviceAccount": {"automountServiceAccountToken": False},
            "securityContexts": {
                "pod": running_as(NOBODY),
                "container": HARDENED,
            },
            **_SERVICE,
        },
        "logs": {"persistence": {"enabled": False}},
        "dags": {"persistence": {"enabled": False}, "gitSync": _git_sync(settings)},
        "config": _config(domain, log_folder),
    }


_SERVICE = {"priorityClassName": "platform-service"}


def _account(role_arn: pulumi.Input[str]) -> dict[str, Any]:
    return {"annotations": {"eks.amazonaws.com/role-arn": role_arn}}


def _environment(region: str, variables: Mapping[str, pulumi.Input[str]]) -> dict[str, pulumi.Input[str]]:
    """Return Airflow's connections and variables as environment variables, which nobody has to enter by hand."""
    return {
        **server.ENVIRONMENT,
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps({"conn_type": "aws", "extra": {"region_name": region}}),
        "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps({"conn_type": "kubernetes", "extra": {"in_cluster": True}}),
        "AIRFLOW_VAR_WORKLOADS_FOLDER": WORKLOADS_FOLDER,
        **{f"AIRFLOW_VAR_{name.upper()}": value for name, value in sorted(variables.items())},
    }


def _git_sync(settings: AirflowSettings) -> dict[str, Any]:
    if settings.dags_repository is None:
        return {"enabled": False}  # the image's
    return {
        "enabled": True,
        "repo": settings.dags_repository,
        "branch": settings.dags_branch,
        "ref": settings.dags_branch,
        "subPath": DAGS_FOLDER,
        "period": "60s",
        "recommendedProbeSetting": True,
        "securityContexts": {"container": {"runAsUser": 65533, **HARDENED}},
        "extraVolumeMounts": [TMP],  # git's own settings
        "resources": server.RESOURCES["gitSync"],
    }


def _config(domain: str | None, log_folder: pulumi.Input[str]) -> dict[str, dict[str, Any]]:
    """Return the sections of airflow.cfg, with what depends on the stack."""
    config: dict[str, dict[str, Any]] = {section: dict(entries) for section, entries in server.CONFIG.items()}
    config["logging"]["remote_base_log_folder"] = log_folder
    if domain:
        config["api"]["base_url"] = f"https://airflow.{domain}"
    return config

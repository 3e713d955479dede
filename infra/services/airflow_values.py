"""Values of the Airflow chart; keys as in its values.schema.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi

from infra.cluster.pod_security import HARDENED, running_as
from infra.data.image import Image
from infra.settings.service_settings import AirflowSettings

VERSION = "3.3.2"
"""Airflow's version in the image, on which the chart's templates depend."""
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
DAGS_FOLDER = "workloads/dags"
WORKLOADS = "workloads"
"""Name of the ConfigMap that the workloads stack fills; pipelines find its entries as files in `WORKLOADS_FOLDER`."""
WORKLOADS_FOLDER = "/opt/airflow/workloads"
TASKS_PER_SCHEDULER = 16
# The image's files belong to group 0, and it runs as no other.
AIRFLOW_USER: Any = {**running_as(50000), "runAsGroup": 0, "fsGroup": 0}
TMP = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108  inside the pod; all else but logs is read-only


def sized(cpu: str, memory: str, limit: str) -> dict[str, Any]:
    """Return requests, and a limit on memory alone: idle processor time is free to use."""
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": limit}}


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
        "airflowVersion": VERSION,
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
            # Behind a load balancer that ends TLS: without its headers cookies are not secure and redirects lose https.
            "args": ["bash", "-c", "exec airflow api-server --proxy-headers"],
            "env": [{"name": "FORWARDED_ALLOW_IPS", "value": "*"}],
            "resources": sized("100m", "512Mi", "1Gi"),
            "serviceAccount": _account(role_arns["api_server"]),
            **_SERVICE,
            **slow_start,
            "podDisruptionBudget": several,
            "waitForMigrations": {"enabled": False},
        },
        "scheduler": {
            "replicas": settings.replicas,
            "resources": sized("100m", "448Mi", "1Gi"),
            **_SERVICE,
            **slow_start,
            **slow_answer,
            **without_log_groomer,
            "podDisruptionBudget": several,
            "waitForMigrations": {"enabled": False},
        },
        "dagProcessor": {
            "enabled": True,
            "resources": sized("100m", "384Mi", "1Gi"),
            "serviceAccount": {"automountServiceAccountToken": False},
            **_SERVICE,
            **slow_answer,
            # What parsing says goes to no bucket.
            "logGroomerSidecar": {"retentionDays": 1, "resources": sized("5m", "16Mi", "64Mi")},
            "waitForMigrations": {"enabled": False},
        },
        "triggerer": {
            "resources": sized("50m", "384Mi", "768Mi"),
            "serviceAccount": _account(role_arns["triggerer"]),
            **_SERVICE,
            **slow_answer,
            **without_log_groomer,
            "persistence": {"enabled": False},
            "waitForMigrations": {"enabled": False},
        },
        "workers": {
            "kubernetes": {
                "resources": sized("100m", "384Mi", "1Gi"),
                "serviceAccount": {"create": True, "name": "airflow-worker", **_account(role_arns["worker"])},
                "priorityClassName": "training",
            }
        },
        "databaseCleanup": {
            "enabled": True,
            "retentionDays": 90,
            "skipArchive": True,  # else what is cleaned stays in tables beside
            "resources": sized("50m", "256Mi", "512Mi"),
            "serviceAccount": {"automountServiceAccountToken": False},
            **_SERVICE,
        },
        "statsd": {
            "resources": sized("10m", "32Mi", "128Mi"),
            "serviceAccount": {"automountServiceAccountToken": False},
            "securityContexts": {
                "pod": running_as(65534),
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
        # The program has seen the database; each start would ask it again, which takes seconds of every task.
        "CONNECTION_CHECK_MAX_COUNT": "0",
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
        "resources": sized("10m", "64Mi", "256Mi"),
    }


def _config(domain: str | None, log_folder: pulumi.Input[str]) -> dict[str, dict[str, Any]]:
    """Return sections of airflow.cfg; every leaf is a string."""
    return {
        "core": {"auth_manager": FAB, "load_examples": "False", "parallelism": str(TASKS_PER_SCHEDULER)},
        "api": {"expose_config": "False", **({"base_url": f"https://airflow.{domain}"} if domain else {})},
        "logging": {
            "remote_logging": "True",
            "remote_base_log_folder": log_folder,
            "remote_log_conn_id": "aws_default",
            "encrypt_s3_logs": "False",  # the bucket does
            "delete_local_logs": "True",
        },
        "kubernetes_executor": {
            # Their logs are in the bucket, and pods that failed would stay for ever.
            "delete_worker_pods_on_failure": "True",
            # A full quota is waited for.
            "task_publish_max_retries": "-1",
        },
    }

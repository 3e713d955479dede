"""Pods of MLflow and Airflow as a plan makes them: rendered by their charts where those are at hand, else by values."""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Mapping
from typing import Any

from mlp.charts import rendering, yaml_text
from mlp.charts.check import Release, releases_of
from mlp.charts.store import find_store
from mlp.engine.deployment import Deployment
from tests.mlp.charts.pod_security import pods_of_release

Objects = dict[str, dict[str, Mapping[str, str]]]


def pods_of(name: str, deployments: list[Deployment]) -> tuple[dict[str, Any], Objects]:
    """Return the pods of the release `name` by their name, and the data of its ConfigMaps and Secrets."""
    [release] = [one for one in releases_of(deployments) if one.name == name]
    archive = find_store().archive(release.chart, release.version)
    if archive is None or not importlib.util.find_spec(rendering.SDK):
        return MADE[name](release)
    cluster = rendering.Cluster(kubernetes_version=rendering.kubernetes_version(deployments))
    manifests = [
        one for text in rendering.render_by_sdk(archive, release, cluster) for one in yaml_text.documents(text.text)
    ]
    objects: Objects = {"Secret": {}, "ConfigMap": {}}
    for one in manifests:
        if one["kind"] in objects:
            objects[one["kind"]][one["metadata"]["name"]] = _data(one)
    pods = {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]
        for one in manifests
        if one["kind"] in ("Deployment", "StatefulSet")
    }
    return pods, objects


def _data(manifest: Mapping[str, Any]) -> dict[str, str]:
    data = manifest.get("data") or {}
    if manifest["kind"] == "ConfigMap":
        return dict(data)
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def _contexts(release: Release, pod: str) -> tuple[Any, Any]:
    """Return the security contexts of a pod and of its containers."""
    pods = pods_of_release(name=release.name, namespace=release.namespace, chart=release.chart, values=release.values)
    [spec] = [one["spec"] for one in pods if one["metadata"]["name"] == pod]
    return spec["securityContext"], spec["containers"][0]["securityContext"]


def _from_secret(variable: str, secret: str, key: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _mlflow(release: Release) -> tuple[dict[str, Any], Objects]:
    values = release.shown
    of_the_pod, context = _contexts(release, "mlflow")
    records, login = values["backendStore"], values["auth"]
    store, accounts, logins = records["postgres"], login["postgres"], login["postgres"]["existingSecret"]
    scheme = f"postgresql+{store['driver']}"
    database = records["existingDatabaseSecret"]["name"]
    env = [
        {"name": name, "value": value}
        for name, value in {
            "PGHOST": store["host"],
            "PGPORT": str(store["port"]),
            "PGDATABASE": store["database"],
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(values["serverAllowedHosts"]),
            "MLFLOW_AUTH_CONFIG_PATH": "/etc/mlflow/auth/auth.ini",
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key for tests",
            **values["extraEnvVars"],
        }.items()
    ]
    env += [_from_secret("PGUSER", database, "username"), _from_secret("PGPASSWORD", database, "password")]
    bucket = values["artifactRoot"]["s3"]
    options = {
        "host": "0.0.0.0",  # noqa: S104  inside the pod
        "port": "5000",
        "backend-store-uri": f"{scheme}://",
        "artifacts-destination": f"s3://{bucket['bucket']}/{bucket['path']}",
        "app-name": login["appName"],
        **{
            "".join(f"-{c.lower()}" if c.isupper() else c for c in name): one
            for name, one in values["extraArgs"].items()
        },
    }
    fill = "sed -e s/USER/$DB_USER/ -e s/PASSWORD/$DB_PASSWORD/ -e s/ADMIN_NAME/$ADMIN/ -e s/ADMIN_WORD/$ADMIN_WORD/"
    admin = login["existingAdminSecret"]["name"]
    image = f"{values['image']['repository']}:tag"
    container = {"image": image, "securityContext": context, "resources": values["resources"], "env": env}
    mounts = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "auth", "mountPath": "/etc/mlflow/auth"}]
    migrate = f"from mlflow.store.db import utils as u; u._initialize_tables(u.create_sqlalchemy_engine_with_retry('{scheme}://'))"
    spec = {
        "securityContext": of_the_pod,
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {"name": "auth", "emptyDir": {}},
            {"name": "template", "configMap": {"name": "auth-template"}},
        ],
        "initContainers": [
            {
                **container,
                "name": "mlflow-db-migration",
                "command": ["python", "-c"],
                "args": [migrate],
                "volumeMounts": mounts,
            },
            {
                **container,
                "name": "ini-file-initializer",
                "command": ["sh", "-c"],
                "args": [f"{fill} /template/auth.ini > /etc/mlflow/auth/auth.ini"],
                "env": [
                    _from_secret("DB_USER", logins["name"], "username"),
                    _from_secret("DB_PASSWORD", logins["name"], "password"),
                    _from_secret("ADMIN", admin, "username"),
                    _from_secret("ADMIN_WORD", admin, "password"),
                ],
                "volumeMounts": [*mounts, {"name": "template", "mountPath": "/template"}],
            },
        ],
        "containers": [
            {
                **container,
                "name": "mlflow",
                "command": ["mlflow"],
                "args": ["server", "--serve-artifacts", *(f"--{name}={value}" for name, value in options.items())],
                "volumeMounts": mounts,
            }
        ],
    }
    template = "[mlflow]\n" + "".join(
        f"{name} = {value}\n"
        for name, value in {
            "default_permission": login["defaultPermission"],
            "database_uri": f"postgresql+{accounts['driver']}://USER:PASSWORD@{accounts['host']}:{accounts['port']}/{accounts['database']}",
            "admin_username": "ADMIN_NAME",
            "admin_password": "ADMIN_WORD",
            "authorization_function": login["authorizationFunction"].replace("\n    ", "\n"),
        }.items()
    )
    return {"mlflow": spec}, {"Secret": {}, "ConfigMap": {"auth-template": {"auth.ini": template}}}


_PARTS = {"api-server": "apiServer", "scheduler": "scheduler", "dag-processor": "dagProcessor"}
"""Airflow's parts as the chart names their pods and their values."""


def _airflow(release: Release) -> tuple[dict[str, Any], Objects]:
    values = release.shown
    secret = values["data"]["metadataSecretName"]
    env = [
        *values["env"],
        *(_from_secret(one["envName"], one["secretName"], one["secretKey"]) for one in values["secret"]),
    ]
    env += [
        _from_secret("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", secret, "connection"),
        _from_secret("AIRFLOW__CORE__FERNET_KEY", values["fernetKeySecretName"], "fernet-key"),
        _from_secret("AIRFLOW__API__SECRET_KEY", values["apiSecretKeySecretName"], "api-secret-key"),
    ]
    config = {section: dict(entries) for section, entries in values["config"].items()}
    config["core"]["execution_api_server_url"] = "http://airflow-api-server:8080/execution/"
    sections = (
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
        for name, entries in config.items()
    )
    mounts = [
        *values["volumeMounts"],
        {"name": "logs", "mountPath": "/opt/airflow/logs"},
        {"name": "config", "mountPath": "/opt/airflow/airflow.cfg", "subPath": "airflow.cfg", "readOnly": True},
    ]
    volumes = [
        *values["volumes"],
        {"name": "logs", "emptyDir": {}},
        {"name": "config", "configMap": {"name": "airflow-config"}},
    ]
    image = values["images"]["airflow"]
    signs = [_from_secret("AIRFLOW__API_AUTH__JWT_SECRET", values["jwtSecretName"], "jwt-secret")]
    pods = {}
    for part, key in _PARTS.items():
        of_the_pod, context = _contexts(release, f"airflow-{part}")
        container = {
            "name": part,
            "image": f"{image['repository']}:tag",
            "args": values[key].get("args") or ["bash", "-c", f"exec airflow {part}"],
            "securityContext": context,
            "resources": values[key]["resources"],
            "env": [*env, *([] if part == "dag-processor" else signs), *(values[key].get("env") or ())],
            "volumeMounts": mounts,
        }
        pods[f"airflow-{part}"] = {"securityContext": of_the_pod, "volumes": volumes, "containers": [container]}
    return pods, {"Secret": {}, "ConfigMap": {"airflow-config": {"airflow.cfg": "\n".join(sections)}}}


MADE = {"mlflow": _mlflow, "airflow": _airflow}

"""The pods of a Helm release, from its values: what each chart renders from them, in the pinned versions.

Only what decides where pods fit is here. Tests compare the table with the charts' own values and rendered manifests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mlp.charts.values import merged
from mlp.review.capacity.chart_services import AIRFLOW, PROMETHEUS_STACK
from mlp.review.capacity.chart_values import ChartPods, Manifest, Release, Values
from mlp.shared.errors import PlatformError


def release_manifests(*, name: str, namespace: str, chart: str, values: Mapping[str, Any]) -> list[Manifest]:
    """Return what a release starts. Raise PlatformError for a chart, or a part of one, that the table lacks."""
    known = CHARTS.get(chart)
    if known is None:
        raise PlatformError(
            f"release {name}: the pods of chart {chart} are not known; add what it starts to "
            f"mlp/review/capacity/chart_pods.py, which knows {', '.join(sorted(CHARTS))}"
        )
    opened = Values(merged(values, known.defaults))
    on = [path for path in known.uncounted if opened.at(path)]
    if on:
        raise PlatformError(
            f"release {name}: {', '.join(on)} of chart {chart} adds pods that mlp/review/capacity/chart_pods.py "
            "does not count; turn it off, or add them there"
        )
    return list(known.pods(Release(name=name, namespace=namespace, values=opened)))


def _one_deployment(
    container: str, *, replicas: str = "replicaCount", suffix: str = ""
) -> Callable[[Release], Iterator[Manifest]]:
    """Return the function of a chart that is one Deployment with one container."""

    def pods(release: Release) -> Iterator[Manifest]:
        values = release.values
        yield release.pods(
            "Deployment",
            suffix,
            {container: values.resources("")},
            replicas=values.at(replicas, 1),
            **values.placement(),
        )

    return pods


def _none(_: Release) -> Iterator[Manifest]:
    yield from ()


def _external_secrets(release: Release) -> Iterator[Manifest]:
    values = release.values
    for path, suffix, container in (
        ("", "", "external-secrets"),
        ("webhook", "-webhook", "webhook"),
        ("certController", "-cert-controller", "cert-controller"),
    ):
        replicas = values.at(f"{path}.replicaCount" if path else "replicaCount", 1)
        resources = {container: values.resources(path)}
        yield release.pods("Deployment", suffix, resources, replicas=replicas, **values.placement(path))


def _device_plugin(release: Release) -> Iterator[Manifest]:
    values = release.values
    resources, placement = values.resources(""), values.placement()
    yield release.pods("DaemonSet", "", {"nvidia-device-plugin-ctr": resources}, **placement)
    shares = {**placement, "nodeSelector": {**placement.get("nodeSelector", {}), "nvidia.com/mps.capable": "true"}}
    yield release.pods(
        "DaemonSet",
        "-mps-control-daemon",
        {"mps-control-daemon-ctr": resources},
        init={"mps-control-daemon-mounts": resources},
        **shares,
    )


def _dcgm(release: Release) -> Iterator[Manifest]:
    yield release.pods("DaemonSet", "", {"exporter": release.values.resources("")}, **release.values.placement())


def _mlflow(release: Release) -> Iterator[Manifest]:
    values = release.values
    resources = values.resources("")
    scaled = values.at("autoscaling.enabled")
    yield release.pods(
        "Deployment",
        "",
        {"mlflow": resources},
        init={"mlflow-db-migration": resources} if values.at("backendStore.databaseMigration") else {},
        # The autoscaler keeps at least its minimum.
        replicas=values.at("autoscaling.minReplicas", 1) if scaled else values.at("replicaCount", 1),
        labels={"app.kubernetes.io/name": "mlflow", "app.kubernetes.io/instance": release.name},
        **values.placement(),
    )


_GPU_NODES = {
    "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [
            {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}
            for key, value in (
                ("feature.node.kubernetes.io/pci-10de.present", "true"),
                ("feature.node.kubernetes.io/cpu-model.vendor_id", "NVIDIA"),
                ("nvidia.com/gpu.present", "true"),
            )
        ]
    }
}
CHARTS: dict[str, ChartPods] = {
    "airflow": AIRFLOW,
    "aws-load-balancer-controller": ChartPods(
        pods=_one_deployment("aws-load-balancer-controller"), defaults={"replicaCount": 2}
    ),
    "cluster-autoscaler": ChartPods(
        pods=_one_deployment("aws-cluster-autoscaler", suffix="-aws-cluster-autoscaler"),
        uncounted=("extraContainers", "initContainers"),
    ),
    "dcgm-exporter": ChartPods(
        pods=_dcgm,
        defaults={
            "resources": {"limits": {"cpu": "200m", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
            "tolerations": [
                {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}
            ],
        },
    ),
    "external-secrets": ChartPods(
        pods=_external_secrets,
        uncounted=("extraContainers", "bitwarden-sdk-server.enabled", "extraInitContainers"),
    ),
    "kube-prometheus-stack": PROMETHEUS_STACK,
    "kuberay-operator": ChartPods(
        pods=_one_deployment("kuberay-operator", replicas="replicas"),
        defaults={"resources": {"limits": {"cpu": "100m", "memory": "512Mi"}}},
    ),
    "mlflow": ChartPods(
        pods=_mlflow,
        uncounted=(
            *("postgresql.enabled", "mysql.enabled", "minio.enabled", "ldapAuth.enabled", "oauth2Proxy.enabled"),
            *("initContainers", "extraContainers"),
        ),
    ),
    "nvidia-device-plugin": ChartPods(
        pods=_device_plugin,
        defaults={
            "affinity": {"nodeAffinity": _GPU_NODES},
            "tolerations": [
                {"key": "CriticalAddonsOnly", "operator": "Exists"},
                {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            ],
        },
        uncounted=("gfd.enabled", "nfd.enabled", "config.name", "config.map"),
    ),
    "prometheus-operator-crds": ChartPods(pods=_none),
}

"""The pods of the charts with many components: Airflow and the Prometheus stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlp.review.capacity.chart_values import ChartPods, Manifest, Release, Values
from mlp.shared.errors import PlatformError


def _airflow(release: Release) -> Iterator[Manifest]:
    """Yield the pods of Airflow 3 with the KubernetesExecutor: its own processes, and one pod for each task."""
    values = release.values
    if (executor := values.at("executor")) != "KubernetesExecutor":
        raise PlatformError(
            f"release {release.name}: the pods of Airflow's {executor} are not counted; use KubernetesExecutor, or add "
            "them to mlp/review/capacity/chart_services.py"
        )
    synced = values.at("dags.gitSync.enabled") and not values.at("dags.persistence.enabled")
    git = {"git-sync": values.resources("dags.gitSync")} if synced else {}
    git_init = {f"{name}-init": resources for name, resources in git.items()}
    for key, part, reads_dags in (
        ("apiServer", "api-server", False),
        ("scheduler", "scheduler", False),
        ("dagProcessor", "dag-processor", True),
        ("triggerer", "triggerer", True),
    ):
        groomer = values.at(f"{key}.logGroomerSidecar.enabled")
        yield release.pods(
            "Deployment",
            f"-{part}",
            {
                part: values.resources(key),
                **({f"{part}-log-groomer": values.resources(f"{key}.logGroomerSidecar")} if groomer else {}),
                **(git if reads_dags else {}),
            },
            init=git_init if reads_dags else {},
            replicas=values.at(f"{key}.replicas", 1),
            labels={"tier": "airflow", "component": part, "release": release.name},
            **{**values.placement(), **values.placement(key)},
        )
    placement = {**values.placement(), **values.placement("statsd")}
    yield release.pods("Deployment", "-statsd", {"statsd": values.resources("statsd")}, **placement)
    if values.at("databaseCleanup.enabled"):
        yield release.pods(
            "CronJob",
            "-database-cleanup",
            {"database-cleanup": values.resources("databaseCleanup")},
            **{**values.placement(), **values.placement("databaseCleanup")},
        )
    yield release.pods(
        "CronJob",  # in that it comes and goes
        "-worker",
        {"base": values.resources("workers.kubernetes")},
        init=git_init,
        **{**values.placement(), **values.placement("workers.kubernetes")},
    )


def _prometheus_stack(release: Release) -> Iterator[Manifest]:
    """Yield the operator's pods of Prometheus and Alertmanager, each with a config reloader."""
    values = release.values
    prefix = "-kube-prometheus"
    yield release.pods(
        "Deployment",
        f"{prefix}-operator",
        {"kube-prometheus-stack": values.resources("prometheusOperator")},
        **values.placement("prometheusOperator"),
    )
    reloader = values.resources("prometheusOperator.prometheusConfigReloader")
    for name in ("prometheus", "alertmanager"):
        path = f"{name}.{name}Spec"
        labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": f"{release.name}{prefix}-{name}"}
        yield release.pods(
            "StatefulSet",
            f"{prefix}-{name}",
            {name: values.resources(path), "config-reloader": reloader},
            init={"init-config-reloader": reloader},
            replicas=values.at(f"{path}.replicas", 1) * values.at(f"{path}.shards", 1),
            labels=labels,
            **{**_hard_affinity(values, path, labels), **values.placement(path)},
        )
    sidecar = values.resources("grafana.sidecar")
    watchers = {"dashboards": "grafana-sc-dashboard", "datasources": "grafana-sc-datasources"}
    watching = [name for part, name in watchers.items() if values.at(f"grafana.sidecar.{part}.enabled")]
    yield release.pods(
        "Deployment",
        "-grafana",
        {**dict.fromkeys(watching, sidecar), "grafana": values.resources("grafana")},
        replicas=values.at("grafana.replicas", 1),
        **values.placement("grafana"),
    )
    yield release.pods(
        "Deployment",
        "-kube-state-metrics",
        {"kube-state-metrics": values.resources("kube-state-metrics")},
        replicas=values.at("kube-state-metrics.replicas", 1),
        **values.placement("kube-state-metrics"),
    )
    exporter = "prometheus-node-exporter"
    yield release.pods(
        "DaemonSet",
        f"-{exporter}",
        {"node-exporter": values.resources(exporter)},
        namespace=values.at(f"{exporter}.namespaceOverride"),
        **{"affinity": _REAL_NODES, **values.placement(exporter)},
    )


def _hard_affinity(values: Values, path: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the chart's own anti-affinity of its replicas if it is a required one."""
    if values.at(f"{path}.podAntiAffinity") != "hard":
        return {}
    place = values.at(f"{path}.podAntiAffinityTopologyKey", "kubernetes.io/hostname")
    term = {"topologyKey": place, "labelSelector": {"matchLabels": dict(labels)}}
    return {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


_REAL_NODES = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {
                    "matchExpressions": [
                        {"key": "eks.amazonaws.com/compute-type", "operator": "NotIn", "values": ["fargate"]},
                        {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]},
                    ]
                }
            ]
        }
    }
}
_EVERY_TAINT = [{"effect": "NoSchedule", "operator": "Exists"}]
AIRFLOW = ChartPods(
    pods=_airflow,
    defaults={
        **{
            key: {"enabled": True, "replicas": 1, "logGroomerSidecar": {"enabled": True}}
            for key in ("scheduler", "triggerer")
        },
        "dagProcessor": {"replicas": 1, "logGroomerSidecar": {"enabled": True}},
        "executor": "CeleryExecutor",
        "redis": {"enabled": True},
        "postgresql": {"enabled": True},
        "createUserJob": {"enabled": True},
        "migrateDatabaseJob": {"enabled": True},
    },
    uncounted=(
        *("redis.enabled", "postgresql.enabled", "pgbouncer.enabled", "flower.enabled", "cleanup.enabled"),
        *("createUserJob.enabled", "migrateDatabaseJob.enabled", "triggerer.keda.enabled", "triggerer.hpa.enabled"),
        *("apiServer.hpa.enabled", "workers.kerberosSidecar.enabled", "workers.kerberosInitContainer.enabled"),
        *(
            f"{part}.{more}"
            for part in ("apiServer", "scheduler", "dagProcessor", "triggerer", "workers", "workers.kubernetes")
            for more in ("extraContainers", "extraInitContainers")
        ),
    ),
)
PROMETHEUS_STACK = ChartPods(
    pods=_prometheus_stack,
    defaults={
        "grafana": {
            "sidecar": {"dashboards": {"enabled": True}, "datasources": {"enabled": True}},
            "testFramework": {"enabled": True},
        },
        "prometheusOperator": {"admissionWebhooks": {"enabled": True}},
        "prometheus-node-exporter": {"nodeSelector": {"kubernetes.io/os": "linux"}, "tolerations": _EVERY_TAINT},
    },
    uncounted=(
        *("prometheusOperator.admissionWebhooks.enabled", "thanosRuler.enabled", "windowsMonitoring.enabled"),
        *("prometheus.agentMode", "prometheus.prometheusSpec.thanos", "prometheus.prometheusSpec.containers"),
        *("prometheus.prometheusSpec.initContainers", "alertmanager.alertmanagerSpec.containers"),
        *("grafana.imageRenderer.enabled", "grafana.testFramework.enabled", "grafana.persistence.enabled"),
        *(f"grafana.sidecar.{one}.enabled" for one in ("alerts", "plugins", "notifiers")),
        *(f"{one}.kubeRBACProxy.enabled" for one in ("kube-state-metrics", "prometheus-node-exporter")),
        *("grafana.autoscaling.enabled", "kube-state-metrics.autosharding.enabled"),
        *("grafana.extraContainers", "grafana.extraInitContainers"),
    ),
)

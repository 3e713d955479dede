"""The Pod Security Standards, and where the values of each chart keep what they ask for.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlp.charts.values import merged
from mlp.review.capacity.chart_pods import release_manifests
from mlp.review.capacity.chart_values import Values
from policies.rules.reading import inside

_BASELINE_CAPABILITIES = {
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
    *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
}
_RESTRICTED_VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"),
}
_SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(pod: Mapping[str, Any], level: str) -> list[str]:
    """Return what the security level `level` forbids in a PodSpec, each fault with its container or `pod`."""
    if level == "privileged":
        return []
    faults = [*_baseline_of_the_pod(pod)]
    if level == "restricted":
        kinds = {key for volume in pod.get("volumes") or () for key in volume if key != "name"}
        faults += [f"pod: volume {kind}" for kind in sorted(kinds - _RESTRICTED_VOLUMES)]
    of_the_pod = pod.get("securityContext") or {}
    for container in (*(pod.get("initContainers") or ()), *(pod.get("containers") or ())):
        found = [*_baseline(container)]
        if level == "restricted":
            found += _restricted(of_the_pod, container.get("securityContext") or {})
        faults += [f"{container['name']}: {fault}" for fault in found]
    return faults


def users_by_name(pod: Mapping[str, Any]) -> list[str]:
    """Return the containers of a PodSpec that the kubelet refuses if their image names its user by a word."""
    of_the_pod = pod.get("securityContext") or {}
    containers = (*(pod.get("initContainers") or ()), *(pod.get("containers") or ()))
    contexts = {one["name"]: {**of_the_pod, **(one.get("securityContext") or {})} for one in containers}
    return [name for name, one in contexts.items() if one.get("runAsNonRoot") and one.get("runAsUser") is None]


def _baseline_of_the_pod(pod: Mapping[str, Any]) -> Iterator[str]:
    for flag in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(flag):
            yield f"pod: {flag}"
    for volume in pod.get("volumes") or ():
        if "hostPath" in volume:
            yield f"pod: hostPath {volume['hostPath']['path']}"
    if _seccomp(pod.get("securityContext") or {}) == "Unconfined":
        yield "pod: seccompProfile Unconfined"


def _baseline(container: Mapping[str, Any]) -> Iterator[str]:
    context = container.get("securityContext") or {}
    if context.get("privileged"):
        yield "privileged"
    if more := set((context.get("capabilities") or {}).get("add") or ()) - _BASELINE_CAPABILITIES:
        yield f"capabilities {', '.join(sorted(more))}"
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield "hostPort"
    if _seccomp(context) == "Unconfined":
        yield "seccompProfile Unconfined"


def _restricted(pod: Mapping[str, Any], container: Mapping[str, Any]) -> Iterator[str]:
    both = {**pod, **container}
    capabilities = container.get("capabilities") or {}
    if container.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if both.get("runAsNonRoot") is not True:
        yield "runAsNonRoot is not true"
    if both.get("runAsUser") == 0:
        yield "runAsUser 0"
    if (_seccomp(container) or _seccomp(pod)) not in _SECCOMP:
        yield "no seccompProfile"
    if "ALL" not in (capabilities.get("drop") or ()):
        yield "capabilities are not dropped"
    if set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
        yield "capabilities are added"


def _seccomp(context: Mapping[str, Any]) -> str | None:
    found: str | None = (context.get("seccompProfile") or {}).get("type")
    return found


@dataclass(frozen=True, kw_only=True)
class Contexts:
    """The values in which a chart finds the security contexts of one pod, as dotted paths.

    Of several paths the first with a value counts. `*` among the containers are those that have no entry of their own.
    """

    pod: tuple[str, ...]
    containers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    flags: str | None = None
    """The part of the values that may let the pod share the node's network or processes."""


@dataclass(frozen=True, kw_only=True)
class ChartSecurity:
    """The pods of a chart by the ends of their names, and its own values where they are security contexts."""

    pods: Mapping[str, Contexts]
    defaults: Mapping[str, Any] = field(default_factory=dict)


def _airflow(key: str, **containers: str) -> Contexts:
    """Return where Airflow's chart looks: in the part's own values, then in those of all parts."""
    of_all = "securityContexts.containers"
    return Contexts(
        pod=(f"{key}.securityContexts.pod", f"{key}.securityContext", "securityContexts.pod", "securityContext"),
        containers={
            "*": (f"{key}.securityContexts.container", of_all),
            **{
                name.replace("_", "-"): (f"{path}.securityContexts.container", of_all)
                for name, path in containers.items()
            },
            **dict.fromkeys(("git-sync", "git-sync-init"), ("dags.gitSync.securityContexts.container",)),
        },
    )


def _one(prefix: str = "") -> Contexts:
    return Contexts(pod=(f"{prefix}podSecurityContext",), containers={"*": (f"{prefix}securityContext",)}, flags=prefix)


def _of_the_stack(part: str, **containers: tuple[str, ...]) -> Contexts:
    of_all = {"*": (f"{part}.containerSecurityContext",)}
    named = {name.replace("_", "-"): paths for name, paths in containers.items()}
    return Contexts(pod=(f"{part}.securityContext",), containers={**of_all, **named}, flags=f"{part}.")


_DROPPED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_READ_ONLY = {**_DROPPED, "readOnlyRootFilesystem": True}
_SECCOMP_PROFILE = {"seccompProfile": {"type": "RuntimeDefault"}}
_EXTERNAL_SECRETS = {**_READ_ONLY, **_SECCOMP_PROFILE, "runAsNonRoot": True, "runAsUser": 1000}
_PROMETHEUS = {"runAsGroup": 2000, "runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 2000, **_SECCOMP_PROFILE}
_NOBODY = {"fsGroup": 65534, "runAsGroup": 65534, "runAsNonRoot": True, "runAsUser": 65534, **_SECCOMP_PROFILE}
OF_THE_OPERATOR = "operator"
"""Where `CHARTS` keeps what the Prometheus operator gives each container that it makes, whatever the values say
(https://github.com/prometheus-operator/prometheus-operator/blob/v0.93.1/pkg/prometheus/server/statefulset.go)."""

CHARTS: Mapping[str, ChartSecurity] = {
    "airflow": ChartSecurity(
        pods={
            "-api-server": _airflow("apiServer"),
            "-scheduler": _airflow("scheduler", scheduler_log_groomer="scheduler.logGroomerSidecar"),
            "-dag-processor": _airflow("dagProcessor", dag_processor_log_groomer="dagProcessor.logGroomerSidecar"),
            "-triggerer": _airflow("triggerer", triggerer_log_groomer="triggerer.logGroomerSidecar"),
            "-database-cleanup": _airflow("databaseCleanup"),
            "-worker": _airflow("workers.kubernetes"),
            "-statsd": Contexts(
                pod=("statsd.securityContexts.pod", "statsd.securityContext"),
                containers={"*": ("statsd.securityContexts.container",)},
            ),
        },
    ),
    "external-secrets": ChartSecurity(
        pods={"": _one(), "-webhook": _one("webhook."), "-cert-controller": _one("certController.")},
        defaults={
            "securityContext": _EXTERNAL_SECRETS,
            "webhook": {"securityContext": _EXTERNAL_SECRETS},
            "certController": {"securityContext": _EXTERNAL_SECRETS},
        },
    ),
    "kube-prometheus-stack": ChartSecurity(
        pods={
            "-kube-prometheus-operator": _of_the_stack("prometheusOperator"),
            "-kube-prometheus-prometheus": Contexts(
                pod=("prometheus.prometheusSpec.securityContext",),
                containers={"*": (OF_THE_OPERATOR,)},
                flags="prometheus.prometheusSpec.",
            ),
            "-kube-prometheus-alertmanager": Contexts(
                pod=("alertmanager.alertmanagerSpec.securityContext",),
                containers={"*": (OF_THE_OPERATOR,)},
                flags="alertmanager.alertmanagerSpec.",
            ),
            "-grafana": _of_the_stack(
                "grafana",
                grafana_sc_dashboard=("grafana.sidecar.dashboards.securityContext", "grafana.sidecar.securityContext"),
                grafana_sc_datasources=(
                    "grafana.sidecar.datasources.securityContext",
                    "grafana.sidecar.securityContext",
                ),
            ),
            "-kube-state-metrics": _of_the_stack("kube-state-metrics"),
            "-prometheus-node-exporter": _of_the_stack("prometheus-node-exporter"),
        },
        defaults={
            OF_THE_OPERATOR: _READ_ONLY,
            "prometheusOperator": {"securityContext": _NOBODY, "containerSecurityContext": _READ_ONLY},
            "prometheus": {"prometheusSpec": {"securityContext": _PROMETHEUS}},
            "alertmanager": {"alertmanagerSpec": {"securityContext": _PROMETHEUS}},
            "grafana": {
                "securityContext": {"runAsNonRoot": True, "runAsUser": 472, "runAsGroup": 472, "fsGroup": 472},
                "containerSecurityContext": {**_DROPPED, **_SECCOMP_PROFILE, "privileged": False},
                "sidecar": {"securityContext": {**_DROPPED, **_SECCOMP_PROFILE}},
            },
            "kube-state-metrics": {"securityContext": _NOBODY, "containerSecurityContext": _READ_ONLY},
        },
    ),
    "kuberay-operator": ChartSecurity(
        pods={"": _one()}, defaults={"securityContext": {**_READ_ONLY, **_SECCOMP_PROFILE, "runAsNonRoot": True}}
    ),
    "mlflow": ChartSecurity(
        pods={"": _one()},
        defaults={
            "podSecurityContext": {"fsGroup": 1001, "fsGroupChangePolicy": "OnRootMismatch"},
            "securityContext": {
                **_READ_ONLY,
                "privileged": False,
                "runAsNonRoot": True,
                "runAsUser": 1001,
                "runAsGroup": 1001,
            },
        },
    ),
}
"""The charts of namespaces that have a security level."""


def pods_of_release(*, name: str, namespace: str, chart: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each pod that a release makes, as far as its security depends on the release's values.

    A pod is a manifest of kind Pod. Which pods and containers there are, the table of capacity knows.
    """
    known = CHARTS[chart]
    opened = Values(merged(values, known.defaults))
    return [
        _pod(manifest, known.pods[manifest["metadata"]["name"].removeprefix(name)], opened)
        for manifest in release_manifests(name=name, namespace=namespace, chart=chart, values=values)
    ]


def _pod(manifest: Mapping[str, Any], where: Contexts, values: Values) -> dict[str, Any]:
    def first(paths: Sequence[str]) -> Any:
        return next((found for path in paths if (found := values.at(path))), {})

    def contained(containers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [
            {"name": one["name"], "securityContext": first(where.containers.get(one["name"], where.containers["*"]))}
            for one in containers
        ]

    [spec] = pod_specs(manifest)
    flags = {flag: values.at(f"{where.flags or ''}{flag}") for flag in ("hostNetwork", "hostPID", "hostIPC")}
    return {
        "kind": "Pod",
        "metadata": manifest["metadata"],
        "spec": {
            **flags,
            "securityContext": first(where.pod),
            "initContainers": contained(spec["initContainers"]),
            "containers": contained(spec["containers"]),
        },
    }


def pod_specs(manifest: Any) -> list[Mapping[str, Any]]:
    """Return every PodSpec within a manifest, at any depth."""
    return [one for one in inside(manifest) if isinstance(one.get("containers"), list)]


def manifests_in(value: Any) -> list[Mapping[str, Any]]:
    """Return every Kubernetes object within a value, those that a text holds as JSON among them."""
    return [one for one in inside(value) if "kind" in one and "metadata" in one]

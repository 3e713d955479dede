"""The values of the monitoring charts, as data."""

from __future__ import annotations

from typing import Any

import pulumi

from infra.cluster.addons import DEFAULT_STORAGE_CLASS
from infra.cluster.node_pools import GPU_TAINT
from infra.cluster.pod_security import CONFINED, READ_ONLY, SECCOMP
from infra.services.metrics import dcgm_fields
from infra.settings.service_settings import MonitoringSettings

_NODE_NAME = "__meta_kubernetes_pod_node_name"
# Prometheus tells GPUs, disks and memory by the node, which outlives the pod that reports them.
_BY_NODE = [{"sourceLabels": [_NODE_NAME], "targetLabel": "node"}]
_WRITE_AHEAD_PERCENT = 20
"""Percentage of the disk that the newest samples and compaction need beside what retention counts."""


def stack_values(
    *,
    environment: str,
    settings: MonitoringSettings,
    region: str,
    grafana_host: str | None,
    grafana_secret: str,
    grafana_account: str,
    grafana_role_arn: pulumi.Input[str],
    alertmanager_account: str,
    alertmanager_role_arn: pulumi.Input[str],
    alertmanager_config: dict[str, Any],
    alertmanager_secrets: list[str],
    agents_namespace: pulumi.Input[str],
) -> dict[str, Any]:
    """Return values of kube-prometheus-stack; one Alertmanager means a small cluster, and small requests."""
    service, system = {"priorityClassName": "platform-service"}, {"priorityClassName": "platform-system"}
    return {
        # They come with a release of their own, before all that have monitors.
        "crds": {"enabled": False},
        # AWS runs these and shows no metrics of them, or (the API server) more series than all else together.
        **{part: {"enabled": False} for part in _HIDDEN},
        "defaultRules": {"rules": dict.fromkeys(_RULES_OFF, False), "disabled": dict.fromkeys(_ALERTS_OFF, True)},
        "kubelet": {"serviceMonitor": {"cAdvisorInterval": "30s"}},
        "prometheusOperator": {
            **system,
            # Rules are tested before they come here, and the operator refuses bad ones by itself; without the webhook
            # nobody waits for the operator, and it needs no certificate.
            "admissionWebhooks": {"enabled": False},
            "tls": {"enabled": False},
            "resources": _resources("10m", "64Mi", "256Mi"),
            "prometheusConfigReloader": {"resources": _resources("5m", "24Mi", "64Mi")},
        },
        "prometheus": {
            "prometheusSpec": {
                **service,
                "retention": f"{settings.retention_days}d",
                "retentionSize": f"{settings.storage_gib * (100 - _WRITE_AHEAD_PERCENT) // 100}GB",
                "storageSpec": _claim(settings.storage_gib),
                "externalLabels": {"environment": environment},
                # Otherwise it would see no monitors and rules but those with this release's label.
                **dict.fromkeys(_SELECT_ALL, False),
                "resources": _resources("100m", "512Mi", "1536Mi")
                if settings.replicas == 1
                else _resources("300m", "2Gi", "4Gi"),
            },
        },
        "alertmanager": {
            "serviceAccount": {
                "name": alertmanager_account,
                "annotations": {"eks.amazonaws.com/role-arn": alertmanager_role_arn},
            },
            "podDisruptionBudget": {"enabled": settings.replicas > 1, "minAvailable": 1},
            "config": alertmanager_config,
            "alertmanagerSpec": {
                **system,
                "replicas": settings.replicas,
                "podAntiAffinityTopologyKey": "topology.kubernetes.io/zone",
                "secrets": alertmanager_secrets,
                # Silences and what was sent already.
                "storage": _claim(1),
                "resources": _resources("10m", "32Mi", "128Mi"),
            },
        },
        "grafana": _grafana(
            host=grafana_host,
            admin_secret=grafana_secret,
            account=grafana_account,
            role_arn=grafana_role_arn,
            region=region,
        ),
        "kube-state-metrics": {
            **service,
            # Nobody asks for them, and reading every Secret of the cluster is much to allow.
            "collectorsExclude": ["secrets", "configmaps"],
            "metricLabelsAllowlist": [f"nodes=[{','.join(_NODE_LABELS)}]"],
            "resources": _resources("10m", "64Mi", "256Mi"),
        },
        "prometheus-node-exporter": {
            **system,
            # It looks at the node's files, which the services' namespace does not allow.
            "namespaceOverride": agents_namespace,
            "hostNetwork": False,
            "hostPID": False,
            "securityContext": SECCOMP,
            "containerSecurityContext": CONFINED,
            "tolerations": [{"operator": "Exists"}],
            "resources": _resources("10m", "24Mi", "96Mi"),
            "prometheus": {
                "monitor": {
                    "relabelings": [*_BY_NODE, {"sourceLabels": [_NODE_NAME], "targetLabel": "instance"}],
                    # Outside the node's network these would be the pod's own.
                    "metricRelabelings": [
                        {
                            "sourceLabels": ["__name__"],
                            "regex": "node_(arp|netstat|network|sockstat|udp)_.*",
                            "action": "drop",
                        }
                    ],
                }
            },
        },
    }


def dcgm_values() -> dict[str, Any]:
    """Return values of dcgm-exporter: on every GPU node, root for the kubelet's socket and without any capability."""
    return {
        "priorityClassName": "platform-system",
        "nodeSelector": {"nvidia.com/gpu.present": "true"},
        "tolerations": [{"key": GPU_TAINT, "operator": "Exists", "effect": "NoSchedule"}],
        "podSecurityContext": SECCOMP,
        # The chart adds SYS_ADMIN, for profiling fields that are not among ours.
        "securityContext": {**CONFINED, "capabilities": {"add": [], "drop": ["ALL"]}},
        "customMetrics": dcgm_fields(),
        "serviceMonitor": {"enabled": True, "interval": "30s", "relabelings": _BY_NODE},
        # The chart's 512 MiB and fifth of a CPU are too little on nodes of 8 GPUs.
        "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
    }


def _grafana(
    *, host: str | None, admin_secret: str, account: str, role_arn: pulumi.Input[str], region: str
) -> dict[str, Any]:
    return {
        "priorityClassName": "platform-service",
        "serviceAccount": {
            "name": account,
            "annotations": {"eks.amazonaws.com/role-arn": role_arn},
        },
        "additionalDataSources": [
            {
                "name": "CloudWatch",
                "type": "cloudwatch",
                "uid": "cloudwatch",  # dashboards name it
                "access": "proxy",
                "editable": False,
                # AWS' own chain of credentials, in which the service account's role is.
                "jsonData": {"authType": "default", "defaultRegion": region},
            }
        ],
        "admin": {"existingSecret": admin_secret, "userKey": "admin-user", "passwordKey": "admin-password"},
        # What it shows is code; its own database holds nothing that must last.
        "persistence": {"enabled": False},
        "testFramework": {"enabled": False},
        "grafana.ini": {
            "server": {"domain": host, "root_url": f"https://{host}"} if host else {},
            "security": {"cookie_secure": host is not None},
            "auth.anonymous": {"enabled": False},
            "users": {"allow_sign_up": False},
            "analytics": {"check_for_updates": False, "check_for_plugin_updates": False, "reporting_enabled": False},
            # Otherwise Grafana 13 stops each of its own plugins that has a newer release, cannot write that to the
            # read-only disk, and stays without (https://github.com/grafana/grafana/issues/132528).
            "plugins": {"preinstall_disabled": True},
        },
        "containerSecurityContext": READ_ONLY,
        "extraEmptyDirMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  inside the pod
        # Dashboards come from ConfigMaps of this namespace alone, so that it need not read other namespaces' Secrets.
        "rbac": {"namespaced": True},
        "sidecar": {
            "dashboards": {"searchNamespace": "monitoring", "resource": "configmap"},
            "datasources": {"searchNamespace": "monitoring", "resource": "configmap"},
            "resources": _resources("5m", "80Mi", "192Mi"),
        },
        "resources": _resources("50m", "192Mi", "512Mi"),
    }


def _resources(cpu: str, memory: str, memory_limit: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory_limit}}


def _claim(gib: int) -> dict[str, Any]:
    spec = {
        "storageClassName": DEFAULT_STORAGE_CLASS,
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": f"{gib}Gi"}},
    }
    return {"volumeClaimTemplate": {"spec": spec}}


_HIDDEN = ("kubeApiServer", "kubeControllerManager", "kubeScheduler", "kubeEtcd", "kubeProxy")
_RULES_OFF = (
    "etcd",
    "kubeApiserverAvailability",
    "kubeApiserverBurnrate",
    "kubeApiserverHistogram",
    "kubeApiserverSlos",
    "kubeControllerManager",
    "kubeProxy",
    "kubeSchedulerAlerting",
    "kubeSchedulerRecording",
    "windows",
    # Ours watch disks, memory and volumes instead (alerts/nodes.yaml); the nodes' network is not measured.
    "kubernetesStorage",
    "network",
    "nodeExporterAlerting",
)
_ALERTS_OFF = (
    # Always so where an autoscaler adds nodes when they are needed.
    "KubeCPUOvercommit",
    "KubeMemoryOvercommit",
    # Ours name the training job (alerts/training.yaml); it may well take more than 12 hours.
    "KubeJobFailed",
    "KubeJobNotCompleted",
    # Ours (alerts/targets.yaml) leaves out ports that are served only while something trains.
    "TargetDown",
)
_SELECT_ALL = (
    "ruleSelectorNilUsesHelmValues",
    "serviceMonitorSelectorNilUsesHelmValues",
    "podMonitorSelectorNilUsesHelmValues",
    "probeSelectorNilUsesHelmValues",
    "scrapeConfigSelectorNilUsesHelmValues",
)
_NODE_LABELS = (
    "eks.amazonaws.com/capacityType",
    "eks.amazonaws.com/nodegroup",
    "node.kubernetes.io/instance-type",
    "nvidia.com/gpu.present",
)

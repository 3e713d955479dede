"""Maps of a chart's values that take keys which its defaults cannot tell, and why.

A path is written as Helm's users write it, a key with dots in quotes: `grafana."grafana.ini"`; `*` stands for any part
of a key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

_PART = re.compile(r'"([^"]+)"|([^.]+)')


@dataclass(frozen=True)
class FreeMap:
    """A value whose keys the chart's defaults cannot tell; `keys`, if given, are all of its first level."""

    path: str
    reason: str
    keys: tuple[str, ...] = ()

    def covers(self, path: Sequence[str]) -> bool:
        """Return whether it is the map at `path`."""
        return _matches(path, parts(self.path))

    def ends(self, path: Sequence[str]) -> bool:
        """Return whether `path` ends in it."""
        ending = parts(self.path)
        return len(path) >= len(ending) and _matches(path[-len(ending) :], ending)


def parts(path: str) -> list[str]:
    """Return the keys of a written path."""
    return [quoted or plain for quoted, plain in _PART.findall(path)]


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    return len(path) == len(pattern) and all(map(fnmatchcase, path, pattern))


_POD_SECURITY = (
    "appArmorProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "seLinuxChangePolicy",
    "seLinuxOptions",
    "seccompProfile",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "sysctls",
)
_CONTAINER_SECURITY = (
    "allowPrivilegeEscalation",
    "appArmorProfile",
    "capabilities",
    "privileged",
    "procMount",
    "readOnlyRootFilesystem",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "seLinuxOptions",
    "seccompProfile",
)
# Many charts switch the whole object on or off beside its fields.
_SECURITY = tuple(sorted({*_POD_SECURITY, *_CONTAINER_SECURITY, "enabled"}))
_SELECTOR = ("matchExpressions", "matchLabels")
_COMMENTED = "the defaults have it in a comment only"
_CLAIM = ("disableMountSubPath", "emptyDir", "ephemeral", "volumeClaimTemplate")

BY_NAME: tuple[FreeMap, ...] = (
    FreeMap("annotations", "names are the user's"),
    FreeMap("*Annotations", "names are the user's"),
    FreeMap("labels", "names are the user's"),
    FreeMap("*Labels", "names are the user's"),
    FreeMap("nodeSelector", "labels of nodes"),
    FreeMap("affinity", "Kubernetes' object", ("nodeAffinity", "podAffinity", "podAntiAffinity")),
    FreeMap("resources", "Kubernetes' object", ("claims", "limits", "requests")),
    FreeMap("resources.limits", "names of resources, of devices too"),
    FreeMap("resources.requests", "names of resources, of devices too"),
    FreeMap("*ecurityContext", "Kubernetes' object", _SECURITY),
    FreeMap("securityContexts.pod", "Kubernetes' object", _POD_SECURITY),
    FreeMap("securityContexts.container", "Kubernetes' object", _CONTAINER_SECURITY),
    FreeMap("*amespaceSelector", "Kubernetes' selector", ("any", "matchNames", *_SELECTOR)),
    FreeMap("*Selector", "Kubernetes' selector", _SELECTOR),
    FreeMap("strategy", "Kubernetes' object", ("rollingUpdate", "type")),
    FreeMap("updateStrategy", "Kubernetes' object", ("rollingUpdate", "type")),
    FreeMap("dnsConfig", "Kubernetes' object", ("nameservers", "options", "searches")),
    FreeMap("podDisruptionBudget", "Kubernetes' object", ("enabled", "maxUnavailable", "minAvailable", "selector")),
    FreeMap("extraArgs", "flags of the program"),
    FreeMap("env", "variables of the program"),
    FreeMap("extraEnv*", "variables of the program"),
)
"""Maps with the same name in all charts; each is free where the chart's own defaults have it."""

BY_CHART: Mapping[str, tuple[FreeMap, ...]] = {
    "airflow": (
        FreeMap("config", "sections and options of airflow.cfg, Airflow's own"),
        FreeMap("extraSecrets", "Secrets that the chart makes, by name"),
        FreeMap("extraConfigMaps", "ConfigMaps that the chart makes, by name"),
    ),
    "aws-load-balancer-controller": (
        FreeMap("defaultTags", "tags of what it makes in AWS"),
        FreeMap("vpcTags", "tags that find the VPC"),
        FreeMap("controllerConfig.featureGates", "the controller's own switches"),
        FreeMap("ingressClassParams.spec", "fields of its own custom resource"),
    ),
    "cluster-autoscaler": (FreeMap("expanderPriorities", "patterns of groups' names by priority"),),
    "dcgm-exporter": (FreeMap("customMetrics", _COMMENTED),),
    "kube-prometheus-stack": (
        FreeMap("additionalPrometheusRulesMap", "rule groups by name"),
        FreeMap("alertmanager.alertmanagerSpec.storage", "Alertmanager's volume", _CLAIM),
        FreeMap("alertmanager.config", "Alertmanager's own configuration"),
        FreeMap("alertmanager.templateFiles", "files by name"),
        FreeMap("customRules", "changes of rules by name"),
        FreeMap("defaultRules.disabled", "rules by name"),
        FreeMap('grafana."grafana.ini"', "Grafana's own configuration"),
        FreeMap("grafana.dashboardProviders", "files by name"),
        FreeMap("grafana.dashboards", "dashboards by provider and name"),
        FreeMap("grafana.datasources", "files by name"),
        FreeMap("grafana.envValueFrom", "variables of the program"),
        FreeMap("grafana.priorityClassName", _COMMENTED),
        FreeMap("grafana.serviceAccount.annotations", _COMMENTED),
        FreeMap("kube-state-metrics.priorityClassName", _COMMENTED),
        FreeMap("prometheus-node-exporter.priorityClassName", _COMMENTED),
        FreeMap("prometheus.prometheusSpec.storageSpec", "Prometheus' volume", _CLAIM),
        FreeMap("prometheusOperator.priorityClassName", _COMMENTED),
        FreeMap("prometheusOperator.namespaces", "which namespaces it sees", ("additional", "releaseNamespace")),
    ),
    "kuberay-operator": (FreeMap("watchNamespace", _COMMENTED),),
    "nvidia-device-plugin": (FreeMap("config.map", "the plugin's configurations by name"),),
}
"""Maps of one chart; here a path is good even if the defaults only mention it in a comment."""

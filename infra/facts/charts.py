"""The Helm charts that the platform installs, pinned."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart of a repository, in one version."""

    name: str
    version: str
    repository: str


AIRFLOW = Chart(name="airflow", version="1.22.0", repository="https://airflow.apache.org")
CLUSTER_AUTOSCALER = Chart(
    name="cluster-autoscaler", version="9.59.0", repository="https://kubernetes.github.io/autoscaler"
)
DCGM_EXPORTER = Chart(
    name="dcgm-exporter", version="4.8.2", repository="https://nvidia.github.io/dcgm-exporter/helm-charts"
)
EXTERNAL_SECRETS = Chart(name="external-secrets", version="2.9.0", repository="https://charts.external-secrets.io")
KUBERAY_OPERATOR = Chart(
    name="kuberay-operator", version="1.7.0", repository="https://ray-project.github.io/kuberay-helm/"
)
LOAD_BALANCER_CONTROLLER = Chart(
    name="aws-load-balancer-controller", version="3.5.0", repository="https://aws.github.io/eks-charts"
)
MLFLOW = Chart(name="mlflow", version="1.11.5", repository="https://community-charts.github.io/helm-charts")
NVIDIA_DEVICE_PLUGIN = Chart(
    name="nvidia-device-plugin", version="0.20.0", repository="https://nvidia.github.io/k8s-device-plugin"
)
PROMETHEUS_OPERATOR_CRDS = Chart(
    name="prometheus-operator-crds", version="31.0.1", repository="https://prometheus-community.github.io/helm-charts"
)
PROMETHEUS_STACK = Chart(
    name="kube-prometheus-stack", version="88.5.3", repository="https://prometheus-community.github.io/helm-charts"
)

"""The roles of an applied stack, and what is granted to each."""

from __future__ import annotations

from typing import Any

from tests.mlp.engine.clouds.applied import Applied

SERVICE_ACCOUNTS = {
    "mlflow-identity": "mlflow:mlflow",
    "training-identity": "training:training",
    "airflow-worker-identity": "airflow:airflow-worker",
    "airflow-triggerer-identity": "airflow:airflow-triggerer",
    "airflow-api-server-identity": "airflow:airflow-api-server",
    "alertmanager-identity": "monitoring:alertmanager",
    "grafana-identity": "monitoring:grafana",
    "load-balancer-controller-identity": "kube-system:aws-load-balancer-controller",
    "cluster-autoscaler-identity": "kube-system:cluster-autoscaler",
    "external-secrets-identity": "external-secrets:external-secrets",
    "addons-ebs-csi": "kube-system:ebs-csi-controller-sa",
}
"""Roles of service accounts by logical name."""
MANAGED_POLICIES = {
    "addons-ebs-csi": {"AmazonEBSCSIDriverPolicy"},
    "cluster-control-plane": {"AmazonEKSClusterPolicy"},
    "nodes": {"AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly"},
    "database-monitoring": {"AmazonRDSEnhancedMonitoringRole"},
}


def role_name(applied: Applied, role: str) -> str:
    return applied.id("aws:iam/role:Role", f"{role}-role")


def grants_of(applied: Applied, role: str) -> list[dict[str, Any]]:
    iam, name = applied.client("iam"), role_name(applied, role)
    return [
        iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
    ]

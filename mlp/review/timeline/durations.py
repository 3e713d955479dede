"""How long a resource typically takes to be made, in seconds, until what depends on it goes on.

Typical, not promised: AWS gives no times. The numbers are from logs of real deployments, a round one of the upper half
of what they show, with the source beside it; `estimate` marks the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RELEASE = "kubernetes:helm.sh/v3:Release"
DATABASE = "aws:rds/instance:Instance"
_CLUSTERS = (
    "8m12s to 12m18s in twelve Terraform logs, one of them "
    "https://github.com/terraform-aws-modules/terraform-aws-eks/pull/3218; 13 to 16 min in others; 748 s for the whole "
    "component in https://github.com/pulumi/pulumi-eks/issues/1819"
)
_NODE_GROUPS = "1m48s to 2m48s, https://github.com/DevopsArtFactory/terraform-provisioning/pull/46"
_NATS = "1m25s to 2m04s in seven Terraform logs"
_SMALL = "https://github.com/turbot/steampipe-plugin-aws/pull/131"
_ADDONS = "24 s before there are nodes, in a Terraform log; their pods have to start after that"
_RDS = "PostgreSQL: 5m57s and 6m08s in one zone, 15m11s and 15m22s in two, in Terraform logs"


@dataclass(frozen=True)
class Duration:
    """Seconds, and where the number is from."""

    seconds: int
    source: str = "estimate"


_BY_TYPE: Mapping[str, Duration] = {
    "aws:acm/certificate:Certificate": Duration(10),
    "aws:acm/certificateValidation:CertificateValidation": Duration(
        300, "https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html"
    ),
    "aws:ec2/natGateway:NatGateway": Duration(120, _NATS),
    "aws:ec2/subnet:Subnet": Duration(12, _SMALL),
    "aws:ec2/vpc:Vpc": Duration(25, _SMALL),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Duration(30),
    "aws:eks/addon:Addon": Duration(45, _ADDONS),
    "aws:eks/cluster:Cluster": Duration(660, _CLUSTERS),
    "aws:eks/nodeGroup:NodeGroup": Duration(150, _NODE_GROUPS),
    "aws:iam/role:Role": Duration(7, _SMALL),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Duration(4, _SMALL),
    "aws:kms/key:Key": Duration(15),
    "aws:route53/record:Record": Duration(45),
    "aws:s3/bucket:Bucket": Duration(4),
    "aws:wafv2/webAcl:WebAcl": Duration(10),
    "docker-build:index:Image": Duration(240),
    "kubernetes:apps/v1:DeploymentPatch": Duration(60),
    "kubernetes:batch/v1:Job": Duration(60),
    "kubernetes:external-secrets.io/v1:ClusterSecretStore": Duration(10),
    "kubernetes:external-secrets.io/v1:ExternalSecret": Duration(10),
    "kubernetes:networking.k8s.io/v1:Ingress": Duration(180),  # as if it were the first of its load balancer
}
_RELEASE = Duration(60)
_BY_CHART: Mapping[str, Duration] = {
    "airflow": Duration(240),  # its processes take minutes to start
    "kube-prometheus-stack": Duration(90),
    "mlflow": Duration(120),  # it migrates its database first
    "prometheus-operator-crds": Duration(15),
}
_ONE_ZONE, _TWO_ZONES = Duration(370, _RDS), Duration(925, _RDS)
_BY_PACKAGE: Mapping[str, Duration] = {"aws": Duration(3), "kubernetes": Duration(2)}
_NOTHING = Duration(0)


def typical(type_: str, inputs: Mapping[str, Any]) -> Duration:
    """How long a resource of this type, with these inputs, takes to be made."""
    if type_ == RELEASE:
        return _BY_CHART.get(str(inputs.get("chart")), _RELEASE)
    if type_ == DATABASE:
        return _TWO_ZONES if inputs.get("multiAz") else _ONE_ZONE
    return _BY_TYPE.get(type_) or _BY_PACKAGE.get(type_.partition(":")[0], _NOTHING)

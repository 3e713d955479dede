"""The managed add-ons that need nodes to run on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from infra.environment import Environment
from infra.facts.kubernetes_versions import ADDON_VERSIONS
from infra.identity.identity import OidcIssuer, ServiceAccount, WorkloadIdentity, WorkloadIdentityArgs

DEFAULT_STORAGE_CLASS = "gp3"
_EBS_CSI_ACCOUNT = ServiceAccount(namespace="kube-system", name="ebs-csi-controller-sa")


@dataclass(frozen=True, kw_only=True)
class ClusterAddonsArgs:
    """Inputs of `ClusterAddons`. Their pods become healthy once the nodes of `node_groups` are there."""

    cluster_name: pulumi.Input[str]
    kubernetes_version: str
    environment: Environment
    issuer: OidcIssuer
    node_groups: Sequence[aws.eks.NodeGroup]


class ClusterAddons(pulumi.ComponentResource):
    """CoreDNS, volumes on EBS, metrics and the pod identity agent, in the versions that the platform was written for.

    vpc-cni and kube-proxy come with the cluster, before any node.
    """

    all: list[aws.eks.Addon]
    """Every add-on. They must outlive the pods, which need the driver of their volumes."""

    def __init__(self, name: str, args: ClusterAddonsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:addons:ClusterAddons", name, None, opts)
        self._name, self._args = name, args
        versions = ADDON_VERSIONS[args.kubernetes_version]
        ebs_csi = WorkloadIdentity(
            f"{name}-ebs-csi",
            WorkloadIdentityArgs(
                environment=args.environment,
                issuer=args.issuer,
                account=_EBS_CSI_ACCOUNT,
                managed_policies=("service-role/AmazonEBSCSIDriverPolicy",),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.all = [
            self._addon("coredns", versions.coredns),
            self._addon("metrics-server", versions.metrics_server),
            self._addon("eks-pod-identity-agent", versions.pod_identity_agent),
            self._addon(
                "aws-ebs-csi-driver",
                versions.ebs_csi,
                role_arn=ebs_csi.role_arn,
                # Volumes are made by the driver, which no provider tags for.
                settings={"controller": {"extraVolumeTags": args.environment.tags}},
            ),
        ]
        self.register_outputs({})

    def _addon(
        self,
        addon: str,
        version: str,
        *,
        role_arn: pulumi.Input[str] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> aws.eks.Addon:
        return aws.eks.Addon(
            f"{self._name}-{addon}",
            cluster_name=self._args.cluster_name,
            addon_name=addon,
            addon_version=version,
            service_account_role_arn=role_arn,
            configuration_values=json.dumps(settings) if settings else None,
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            # Their pods need nodes to become healthy on; no value carries that.
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(self._args.node_groups)),
        )


def default_storage_class(
    name: str, *, needs: Sequence[pulumi.Resource], opts: pulumi.ResourceOptions
) -> kubernetes.storage.v1.StorageClass:
    """Create the storage class of claims that name none: encrypted gp3, in the zone of the volume's first pod.

    EKS has had no default class since 1.30. The volumes' driver is among `needs`.
    """
    return kubernetes.storage.v1.StorageClass(
        name,
        metadata={
            "name": DEFAULT_STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        provisioner="ebs.csi.aws.com",
        parameters={"type": "gp3", "encrypted": "true"},
        volume_binding_mode="WaitForFirstConsumer",
        allow_volume_expansion=True,
        reclaim_policy="Delete",
        # Volumes are deleted by the driver, so it goes last; no value carries that.
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(needs))),
    )

"""The EKS cluster and the Kubernetes provider that reaches it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_eks as eks
import pulumi_kubernetes as kubernetes


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """Inputs of `Cluster`. Without `public_access_cidrs` only the VPC reaches the API endpoint."""

    name: str
    kubernetes_version: str
    vpc_id: pulumi.Input[str]
    private_subnet_ids: Sequence[pulumi.Input[str]]
    public_subnet_ids: Sequence[pulumi.Input[str]]
    public_access_cidrs: tuple[IPv4Network, ...]
    deploy_role_arn: str | None


class Cluster(pulumi.ComponentResource):
    """An EKS control plane with API authentication, an OIDC provider for workload identities, and no nodes yet."""

    name: pulumi.Output[str]
    kubeconfig: pulumi.Output[str]
    oidc_provider_arn: pulumi.Output[str]
    oidc_issuer: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    kubernetes: kubernetes.Provider

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:cluster:Cluster", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        public = bool(args.public_access_cidrs)
        # The component wants to know how an explicit AWS provider logs in, even when it logs in like any client.
        login = eks.KubeconfigOptionsArgs(role_arn=args.deploy_role_arn)
        control_plane = eks.Cluster(
            name,
            name=args.name,
            version=args.kubernetes_version,
            vpc_id=args.vpc_id,
            private_subnet_ids=list(args.private_subnet_ids),
            public_subnet_ids=list(args.public_subnet_ids),
            endpoint_private_access=True,
            endpoint_public_access=public,
            public_access_cidrs=[str(block) for block in args.public_access_cidrs] if public else None,
            authentication_mode=eks.AuthenticationMode.API,
            create_oidc_provider=True,
            skip_default_node_group=True,
            skip_default_security_groups=True,
            vpc_cni_options=eks.VpcCniOptionsArgs(enable_prefix_delegation=True, enable_network_policy=True),
            coredns_addon_options=eks.CoreDnsAddonOptionsArgs(enabled=False),  # needs nodes: see node_pools.py
            provider_credential_opts=login,
            opts=child,
        )

        # The id of the EKS cluster itself, so that what uses the name waits for the cluster.
        self.name = control_plane.eks_cluster.apply(lambda cluster: cluster.name)
        self.kubeconfig = pulumi.Output.secret(control_plane.kubeconfig_json)
        self.oidc_provider_arn = control_plane.oidc_provider_arn
        self.oidc_issuer = control_plane.oidc_issuer
        self.security_group_id = control_plane.cluster_security_group_id
        self.kubernetes = kubernetes.Provider(
            f"{name}-kubernetes", kubeconfig=self.kubeconfig, enable_server_side_apply=True, opts=child
        )
        self.register_outputs({"name": self.name})

"""The EKS cluster and the Kubernetes provider that reaches it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_kubernetes as kubernetes

from infra.environment import Environment
from infra.facts.kubernetes_versions import ADDON_VERSIONS
from infra.identity.identity import OidcIssuer, ServiceRole, ServiceRoleArgs
from infra.naming import cluster_log_group
from infra.settings.settings import ClusterSettings

_ADMIN_POLICY = "AmazonEKSClusterAdminPolicy"
_PREVIEW_POLICY = "AmazonEKSAdminViewPolicy"
"""Access policy of previews: read everything, Secrets included, in which Helm keeps its releases."""
_VIEW_POLICY = "AmazonEKSViewPolicy"
"""Access policy of viewers: read what runs in any namespace, Secrets excepted
(https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html)."""


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """Inputs of `Cluster`. Without `settings.public_access_cidrs` only the VPC reaches the API endpoint."""

    environment: Environment
    vpc_id: pulumi.Input[str]
    private_subnet_ids: Sequence[pulumi.Input[str]]
    public_subnet_ids: Sequence[pulumi.Input[str]]
    settings: ClusterSettings
    log_retention_days: int
    deploy_role_arn: str | None


class Cluster(pulumi.ComponentResource):
    """An EKS control plane with API authentication, an OIDC provider for workload identities, and no nodes yet.

    Its secrets are encrypted with a key of their own. Who deploys administers it; other people enter by the roles that
    the settings name.
    """

    name: pulumi.Output[str]
    kubeconfig: pulumi.Output[str]
    issuer: OidcIssuer
    security_group_id: pulumi.Output[str]
    kubernetes: kubernetes.Provider

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:cluster:Cluster", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self._args, settings = args, args.settings
        key = aws.kms.Key(
            f"{name}-secrets",
            description=f"Kubernetes secrets of {args.environment.cluster_name}",
            enable_key_rotation=True,
            deletion_window_in_days=7 if args.environment.deletable else 30,
            # Without the key, nothing in the cluster can be read again.
            opts=pulumi.ResourceOptions(parent=self, protect=not args.environment.deletable),
        )
        logs = aws.cloudwatch.LogGroup(
            f"{name}-log",
            name=cluster_log_group(args.environment.name),
            retention_in_days=args.log_retention_days,
            opts=child,
        )
        role = ServiceRole(
            f"{name}-control-plane",
            ServiceRoleArgs(
                environment=args.environment,
                service="eks.amazonaws.com",
                managed_policies=("AmazonEKSClusterPolicy",),
                actions=("sts:AssumeRole", "sts:TagSession"),
            ),
            child,
        )
        public = bool(settings.public_access_cidrs)
        addons = ADDON_VERSIONS[settings.kubernetes_version]
        control_plane = eks.Cluster(
            name,
            name=args.environment.cluster_name,
            version=settings.kubernetes_version,
            upgrade_policy={"support_type": "STANDARD"},
            vpc_id=args.vpc_id,
            private_subnet_ids=list(args.private_subnet_ids),
            public_subnet_ids=list(args.public_subnet_ids),
            endpoint_private_access=True,
            endpoint_public_access=public,
            public_access_cidrs=[str(block) for block in settings.public_access_cidrs] if public else None,
            service_role=role.role,
            encryption_config_key_arn=key.arn,
            enabled_cluster_log_types=list(settings.log_types),
            deletion_protection=not args.environment.deletable,
            authentication_mode=eks.AuthenticationMode.API,
            create_oidc_provider=True,
            skip_default_node_group=True,
            skip_default_security_groups=True,
            kube_proxy_addon_options=eks.KubeProxyAddonOptionsArgs(version=addons.kube_proxy),
            vpc_cni_options=eks.VpcCniOptionsArgs(
                addon_version=addons.vpc_cni,
                enable_prefix_delegation=True,
                enable_network_policy=True,
                log_level="INFO",  # the component's own default is DEBUG, on every node
            ),
            coredns_addon_options=eks.CoreDnsAddonOptionsArgs(enabled=False),  # needs nodes: see addons.py
            # The component wants to know how an explicit AWS provider logs in, even when it logs in like any client.
            provider_credential_opts=eks.KubeconfigOptionsArgs(role_arn=args.deploy_role_arn),
            opts=pulumi.ResourceOptions(
                parent=self,
                # EKS would make the log group itself, and keep its content for ever; the role's ARN does not carry
                # what it may do.
                depends_on=[logs, *role.attachments],
                # The component's children are its own, so that no resource of ours can be made to go before them.
                protect=not args.environment.deletable,
            ),
        )

        # The id of the EKS cluster itself, so that what uses the name waits for the cluster.
        self.name = control_plane.eks_cluster.apply(lambda cluster: cluster.name)
        for kind, policy, principals in (
            ("admin", _ADMIN_POLICY, settings.admin_roles),
            ("viewer", _VIEW_POLICY, settings.viewer_roles),
            ("preview", _PREVIEW_POLICY, (settings.preview_role,) if settings.preview_role else ()),
        ):
            for principal in principals:
                self._access(f"{name}-{kind}-{principal.rpartition('/')[2]}", principal, policy)
        self.kubeconfig = pulumi.Output.secret(control_plane.kubeconfig_json)
        self.issuer = OidcIssuer(provider_arn=control_plane.oidc_provider_arn, url=control_plane.oidc_issuer)
        self.security_group_id = control_plane.cluster_security_group_id
        self.kubernetes = kubernetes.Provider(
            f"{name}-kubernetes", kubeconfig=self.kubeconfig, enable_server_side_apply=True, opts=child
        )
        self.register_outputs({"name": self.name})

    def _access(self, name: str, principal: str, policy: str) -> None:
        partition = self._args.environment.partition
        entry = aws.eks.AccessEntry(
            name, cluster_name=self.name, principal_arn=principal, opts=pulumi.ResourceOptions(parent=self)
        )
        aws.eks.AccessPolicyAssociation(
            name,
            cluster_name=self.name,
            principal_arn=entry.principal_arn,
            policy_arn=pulumi.Output.format("arn:{0}:eks::aws:cluster-access-policy/{1}", partition, policy),
            access_scope={"type": "cluster"},
            opts=pulumi.ResourceOptions(parent=self),
        )

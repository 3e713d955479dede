"""Managed node groups: where the cluster's pods run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.iam import service_trust
from infra.settings import NodePoolSettings

NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly")
"""AWS-managed policies that a node needs (https://docs.aws.amazon.com/eks/latest/userguide/create-node-role.html)."""
GPU_TAINT = "nvidia.com/gpu"


@dataclass(frozen=True, kw_only=True)
class NodePoolsArgs:
    """Inputs of `NodePools`; `pools` by name."""

    cluster_name: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    partition: pulumi.Input[str]
    pools: dict[str, NodePoolSettings]


class NodePools(pulumi.ComponentResource):
    """The node groups of a cluster and the role their nodes share; CoreDNS comes with the first nodes."""

    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: NodePoolsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:nodes:NodePools", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(f"{name}-role", assume_role_policy=service_trust("ec2.amazonaws.com"), opts=child)
        attachments = [
            aws.iam.RolePolicyAttachment(
                f"{name}-{policy}",
                role=role.name,
                policy_arn=pulumi.Output.format("arn:{0}:iam::aws:policy/{1}", args.partition, policy),
                opts=child,
            )
            for policy in NODE_POLICIES
        ]
        # Nodes cannot join before their role may do what the policies allow; the role's ARN does not carry that.
        # The cluster autoscaler owns the present size.
        for_group = pulumi.ResourceOptions(
            parent=self, depends_on=attachments, ignore_changes=["scalingConfig.desiredSize"]
        )
        groups = [
            aws.eks.NodeGroup(
                f"{name}-{pool_name}",
                cluster_name=args.cluster_name,
                node_role_arn=role.arn,
                subnet_ids=list(args.subnet_ids),
                instance_types=list(pool.instance_types),
                capacity_type=pool.capacity.upper(),
                ami_type="AL2023_x86_64_NVIDIA" if pool.gpu else "AL2023_x86_64_STANDARD",
                disk_size=pool.disk_gib,
                scaling_config={
                    "min_size": pool.min_size,
                    "max_size": pool.max_size,
                    "desired_size": pool.min_size,
                },
                labels={"ml-platform/pool": pool_name},
                taints=[{"key": GPU_TAINT, "value": "true", "effect": "NO_SCHEDULE"}] if pool.gpu else None,
                opts=for_group,
            )
            for pool_name, pool in args.pools.items()
        ]
        aws.eks.Addon(
            f"{name}-coredns",
            cluster_name=args.cluster_name,
            addon_name="coredns",
            resolve_conflicts_on_create="OVERWRITE",
            # Its pods need nodes to become healthy on; no value carries that.
            opts=pulumi.ResourceOptions(parent=self, depends_on=groups),
        )

        self.role_arn = role.arn
        self.register_outputs({"role_arn": self.role_arn})

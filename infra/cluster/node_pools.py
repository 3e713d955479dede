"""Managed node groups, on which the cluster's pods run."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.environment import Environment
from infra.facts.instance_types import INSTANCE_TYPES
from infra.identity.identity import ServiceRole, ServiceRoleArgs
from infra.settings.settings import NodePoolSettings
from infra.tags import LARGEST_TAG, SMALLEST_TAG

NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly")
"""AWS-managed policies that a node needs (https://docs.aws.amazon.com/eks/latest/userguide/create-node-role.html)."""
GPU_TAINT = "nvidia.com/gpu"
_ROOT_DEVICE = "/dev/xvda"
_FREE_IOPS = 3000  # what a gp3 volume has at no extra price; MiB/s may be a quarter of its IOPS
_FEWEST, _MOST = 0, 450
"""Node counts that EKS allows of any group (https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html).
They never change: the provider sends all sizes together, the present one as the last deployment knew it, which would
end nodes that the autoscaler has started since. A pool's own sizes are the autoscaler's to keep."""
_SYSTEM_SHARE = 0.15  # of a disk, for the system and what the kubelet keeps back


@dataclass(frozen=True, kw_only=True)
class NodePoolsArgs:
    """Inputs of `NodePools`; `pools` by name, `subnet_ids` by zone.

    `egress` are the routes and endpoints by which nodes leave their subnets; they must exist before the first node.
    """

    environment: Environment
    cluster_name: pulumi.Input[str]
    kubernetes_version: str
    subnet_ids: Mapping[str, pulumi.Input[str]]
    egress: Sequence[pulumi.Resource]
    pools: Mapping[str, NodePoolSettings]


class NodePools(pulumi.ComponentResource):
    """The node groups of a cluster and the role their nodes share.

    Pods get no credentials from the nodes: the metadata service wants a token and answers the node alone.
    """

    role_arn: pulumi.Output[str]
    always_there: list[aws.eks.NodeGroup]
    """The groups that are never empty, on which the platform's own pods run."""
    scaling_groups: dict[str, pulumi.Output[str]]
    """Name of the auto-scaling group of each pool."""

    def __init__(self, name: str, args: NodePoolsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:nodes:NodePools", name, None, opts)
        self._args, self._child = args, pulumi.ResourceOptions(parent=self)
        role = ServiceRole(
            name,
            ServiceRoleArgs(environment=args.environment, service="ec2.amazonaws.com", managed_policies=NODE_POLICIES),
            self._child,
        )
        groups = {pool: self._group(f"{name}-{pool}", pool, settings, role) for pool, settings in args.pools.items()}
        self.always_there = [
            groups[pool] for pool, settings in args.pools.items() if settings.min_size and not settings.gpu
        ]
        self.scaling_groups = {pool: group.resources.apply(_scaling_group) for pool, group in groups.items()}
        self.role_arn = role.role.arn
        self.register_outputs({"role_arn": self.role_arn})

    def _group(self, name: str, pool: str, settings: NodePoolSettings, role: ServiceRole) -> aws.eks.NodeGroup:
        args = self._args
        template = self._launch_template(name, pool, settings)
        labels = node_labels(pool, settings)
        group = aws.eks.NodeGroup(
            name,
            cluster_name=args.cluster_name,
            version=args.kubernetes_version,
            node_role_arn=role.role.arn,
            subnet_ids=[args.subnet_ids[zone] for zone in settings.zones or args.subnet_ids],
            instance_types=list(settings.instance_types),
            capacity_type=settings.capacity.upper(),
            ami_type="AL2023_x86_64_NVIDIA" if settings.gpu else "AL2023_x86_64_STANDARD",
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            # The first size; later ones are the autoscaler's, which starts on these nodes.
            scaling_config={"min_size": _FEWEST, "max_size": _MOST, "desired_size": settings.min_size},
            tags={SMALLEST_TAG: str(settings.min_size), LARGEST_TAG: str(settings.max_size)},
            update_config={"max_unavailable_percentage": 33},
            node_repair_config={"enabled": True},
            labels=labels,
            taints=[{"key": GPU_TAINT, "value": "true", "effect": "NO_SCHEDULE"}] if settings.gpu else None,
            opts=pulumi.ResourceOptions(
                parent=self,
                # Nodes join by their role's policies and their subnets' egress; no value carries that.
                depends_on=[*role.attachments, *args.egress],
                # The cluster autoscaler owns the present size.
                ignore_changes=["scalingConfig.desiredSize"],
            ),
        )
        if settings.min_size == 0:
            self._describe_empty_group(name, group, autoscaler_tags(labels, settings))
        return group

    def _launch_template(self, name: str, pool: str, settings: NodePoolSettings) -> aws.ec2.LaunchTemplate:
        tags = {**self._args.environment.tags, "Name": name, "ml-platform/pool": pool}
        return aws.ec2.LaunchTemplate(
            name,
            metadata_options={"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1},
            block_device_mappings=[
                {
                    "device_name": _ROOT_DEVICE,
                    "ebs": {
                        "volume_type": "gp3",
                        "volume_size": settings.disk_gib,
                        "throughput": settings.throughput_mibps,
                        "iops": max(_FREE_IOPS, 4 * settings.throughput_mibps),
                        "encrypted": "true",
                        "delete_on_termination": "true",
                    },
                }
            ],
            # What a launch template starts does not get the provider's default tags.
            tag_specifications=[
                {"resource_type": kind, "tags": tags} for kind in ("instance", "volume", "network-interface")
            ],
            user_data=node_user_data(INSTANCE_TYPES[settings.instance_types[0]].max_pods),
            opts=self._child,
        )

    def _describe_empty_group(self, name: str, group: aws.eks.NodeGroup, tags: Mapping[str, str]) -> None:
        """Tag the auto-scaling group, to which EKS does not pass on a node group's own tags."""
        scaling_group = group.resources.apply(_scaling_group)
        for key, value in tags.items():
            aws.autoscaling.Tag(
                f"{name}-{key.partition('node-template/')[2].replace('/', '-')}",
                autoscaling_group_name=scaling_group,
                tag={"key": key, "value": value, "propagate_at_launch": False},
                opts=self._child,
            )


def _scaling_group(resources: Sequence[Any]) -> str:
    """Return the name of the one auto-scaling group that EKS makes for a node group."""
    name: str = resources[0].autoscaling_groups[0].name
    return name


def node_labels(pool: str, settings: NodePoolSettings) -> dict[str, str]:
    """Return the labels of a pool's nodes."""
    labels = {"ml-platform/pool": pool, "ml-platform/capacity": settings.capacity.replace("_", "-")}
    if settings.gpu:
        models = {INSTANCE_TYPES[name].gpu for name in settings.instance_types}
        # The device plugin runs where the first label is. By the second, the autoscaler knows a node whose GPU is not
        # ready yet from one that has none
        # (https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/cloudprovider/aws/README.md).
        labels |= {
            "nvidia.com/gpu.present": "true",
            "k8s.amazonaws.com/accelerator": "nvidia-" + "-".join(sorted(model.lower() for model in models)),
        }
    return labels


def autoscaler_tags(labels: Mapping[str, str], settings: NodePoolSettings) -> dict[str, str]:
    """Return tags that tell the cluster autoscaler what the nodes of an empty pool would be like."""
    prefix = "k8s.io/cluster-autoscaler/node-template"
    tags = {f"{prefix}/label/{key}": value for key, value in labels.items()}
    tags[f"{prefix}/resources/ephemeral-storage"] = f"{int(settings.disk_gib * (1 - _SYSTEM_SHARE))}Gi"
    if settings.gpu:
        tags[f"{prefix}/taint/{GPU_TAINT}"] = "true:NoSchedule"
        tags[f"{prefix}/resources/nvidia.com/gpu"] = str(INSTANCE_TYPES[settings.instance_types[0]].gpus)
    return tags


def node_user_data(max_pods: int) -> str:
    """Return user data, in base64, by which a node of Amazon Linux 2023 takes up to `max_pods` pods.

    EKS merges it with its own (https://awslabs.github.io/amazon-eks-ami/nodeadm/doc/api/).
    """
    lines = (
        "MIME-Version: 1.0",
        'Content-Type: multipart/mixed; boundary="NODE"',
        "",
        "--NODE",
        "Content-Type: application/node.eks.aws",
        "",
        "apiVersion: node.eks.aws/v1alpha1",
        "kind: NodeConfig",
        "spec:",
        "  kubelet:",
        "    config:",
        f"      maxPods: {max_pods}",
        "",
        "--NODE--",
        "",
    )
    return base64.b64encode("\n".join(lines).encode()).decode()

"""The node pools of a plan, and what a node of each can allocate to pods."""

from __future__ import annotations

import base64
import email
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from infra.facts.instance_types import INSTANCE_TYPES
from mlp.plan.planned import ProgramPlan
from mlp.review.capacity.pods import Amounts, Labels
from mlp.review.capacity.quantities import CPU, DISK, GPU, MEMORY, MIB, PODS, amount
from mlp.review.node_groups import NodeGroup, node_groups
from mlp.shared.errors import PlatformError

_HYPERVISOR_SHARE = 0.075
"""Share of an instance's memory that the operating system never sees, as Karpenter estimates it
(https://karpenter.sh/docs/reference/settings/, VM_MEMORY_OVERHEAD_PERCENT)."""
_EVICTION_MEMORY, _RESERVED_DISK = 100 * MIB, 1024 * MIB
_EVICTION_DISK_SHARE = 0.10
_EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}

# Pods for which the network interfaces have addresses without prefixes: interfaces * (addresses - 1) + 2, from
# https://github.com/awslabs/amazon-eks-ami/blob/main/nodeadm/internal/kubelet/instance-info.jsonl, and for p3 from
# https://github.com/aws/amazon-vpc-cni-k8s/blob/master/misc/eni-max-pods.txt.
_TYPES_BY_PODS = {
    29: "*.large g4dn.xlarge g4dn.2xlarge g4dn.4xlarge",
    35: "t3.large t3a.large",
    58: "*.xlarge *.2xlarge g4dn.8xlarge g4dn.16xlarge",
    59: "m8i.large",
    100: "p5.48xlarge",
    118: "m8i.xlarge m8i.2xlarge p5.4xlarge",
    198: "p5en.48xlarge",
    234: "*.4xlarge *.8xlarge *.16xlarge g4dn.12xlarge g6.12xlarge",
    292: "g6e.12xlarge",
    345: "g5.48xlarge",
    492: "g6e.24xlarge g6e.48xlarge",
    737: "*.24xlarge g5.12xlarge g6.16xlarge g6.48xlarge g6e.16xlarge",
}
_INTERFACE_PODS = {name: pods for pods, names in _TYPES_BY_PODS.items() for name in names.split()}


@dataclass(frozen=True, kw_only=True)
class NodePool:
    """A node group. `allocatable` is of its smallest instance type."""

    name: str
    instance_types: tuple[str, ...]
    min_size: int
    max_size: int
    zones: int
    """Number of availability zones that its nodes are spread over."""
    labels: Labels
    taints: tuple[Mapping[str, str], ...]
    """Taints as Kubernetes has them: `key`, `value`, `effect`."""
    allocatable: Amounts


def interface_pods(instance_type: str) -> int:
    """Return the number of pods that a node's network interfaces have addresses for.

    nodeadm computes the reserved memory from it.
    """
    named = _INTERFACE_PODS.get(instance_type)
    return named or _INTERFACE_PODS[f"*.{instance_type.partition('.')[2]}"]


def allocatable(
    instance_type: str, *, max_pods: int, disk_gib: int, reserved: Mapping[str, object] | None = None
) -> Amounts:
    """Return what a node can allocate to pods, as nodeadm configures the kubelet of Amazon Linux 2023.

    `reserved` is what the node's own settings reserve instead
    (https://github.com/awslabs/amazon-eks-ami/blob/main/nodeadm/internal/kubelet/config.go). A `maxPods` of the node's
    settings bounds its pods, but not what is reserved for them: that depends on the network interfaces.
    """
    shape = INSTANCE_TYPES[instance_type]
    kept_back: Counter[str] = Counter(
        {
            CPU: _reserved_cpu(shape.vcpus * 1000),
            MEMORY: (255 + 11 * interface_pods(instance_type)) * MIB,
            DISK: _RESERVED_DISK,
        }
    )
    for resource, written in (reserved or {}).items():
        kept_back[resource] = amount(resource, written)
    memory = shape.memory_gib * 1024 * MIB
    disk = disk_gib * 1024 * MIB
    return {
        CPU: shape.vcpus * 1000 - kept_back[CPU],
        MEMORY: int(memory * (1 - _HYPERVISOR_SHARE)) - kept_back[MEMORY] - _EVICTION_MEMORY,
        DISK: int(disk * (1 - _EVICTION_DISK_SHARE)) - kept_back[DISK],
        GPU: shape.gpus,
        PODS: max_pods,
    }


def _reserved_cpu(millis: int) -> int:
    """Return the reserved millicores: 6 % of the first core, 1 % of the second, 0.5 % of two, 0.25 % of the rest."""
    steps = ((0, 1000, 600), (1000, 2000, 100), (2000, 4000, 50), (4000, millis, 25))
    return sum((min(millis, end) - start) * per_myriad // 10_000 for start, end, per_myriad in steps if millis > start)


def node_pools(plan: ProgramPlan) -> list[NodePool]:
    """Return the node groups of a plan. Raise PlatformError where what they can allocate cannot be determined."""
    return [_pool(one) for one in node_groups(plan.resources.values())]


def _pool(group: NodeGroup) -> NodePool:
    types = group.instance_types
    unknown = [one for one in types if one not in INSTANCE_TYPES]
    if unknown:
        raise PlatformError(
            f"node group {group.registration.name}: instance type {', '.join(unknown)} is not in "
            "infra/facts/instance_types.py; add it"
        )
    kubelet, disk_gib = _launch_settings(group)
    amounts = [
        allocatable(one, max_pods=int(kubelet["maxPods"]), disk_gib=disk_gib, reserved=kubelet.get("kubeReserved"))
        for one in types
    ]
    taints = ({**one, "effect": _EFFECTS[one["effect"]]} for one in group.taints)
    return NodePool(
        name=group.name,
        instance_types=types,
        min_size=group.min_size,
        max_size=group.max_size,
        zones=group.zones,
        labels={"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", **group.labels},
        taints=tuple(taints),
        allocatable={resource: min(one[resource] for one in amounts) for resource in amounts[0]},
    )


def _launch_settings(group: NodeGroup) -> tuple[Mapping[str, Any], int]:
    """Return the kubelet's settings and the disk's size in GiB, from the group's launch template."""
    kubelet = _kubelet_settings(group.template.inputs.get("userData", "")) if group.template else {}
    if "maxPods" not in kubelet:
        raise PlatformError(
            f"node group {group.registration.name}: no launch template sets kubelet.config.maxPods, so how many pods a "
            "node takes depends on its network interfaces; set it in the user data (infra/cluster/node_pools.py)"
        )
    return kubelet, int(group.disks[0]["volumeSize"]) if group.disks else 20


def _kubelet_settings(user_data: str) -> Mapping[str, Any]:
    """Return `spec.kubelet.config` of the NodeConfig in a launch template's user data; empty without one."""
    message = email.message_from_bytes(base64.b64decode(user_data))
    for part in message.walk():
        if part.get_content_type() == "application/node.eks.aws":
            config = yaml.safe_load(str(part.get_payload())) or {}
            kubelet = ((config.get("spec") or {}).get("kubelet") or {}).get("config") or {}
            return dict(kubelet)
    return {}

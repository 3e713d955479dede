"""The node groups of a plan: instance types, labels and sizes, for price, capacity and dangers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.tags import LARGEST_TAG, SMALLEST_TAG
from mlp.engine.cloud import Registration

NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


@dataclass(frozen=True, kw_only=True)
class NodeGroup:
    """A node group as it is planned. `template` is its launch template, if the plan has one."""

    name: str
    """Name of the pool; without that label, of the resource."""
    registration: Registration
    template: Registration | None
    instance_types: tuple[str, ...]
    spot: bool
    min_size: int
    max_size: int
    zones: int
    """Number of availability zones that its nodes are spread over."""
    labels: Mapping[str, str]
    taints: tuple[Mapping[str, Any], ...]
    """Taints as EKS has them."""

    @property
    def disks(self) -> tuple[Mapping[str, Any], ...]:
        """Return the disks of a node, as the launch template has them."""
        mappings = self.template.inputs.get("blockDeviceMappings") if self.template else None
        return tuple(one.get("ebs") or {} for one in mappings or ())


def node_groups(resources: Iterable[Registration]) -> Iterator[NodeGroup]:
    """Yield the node groups among `resources`."""
    everything = list(resources)
    templates = {one.urn: one for one in everything if one.type == LAUNCH_TEMPLATE}
    for one in everything:
        if one.type == NODE_GROUP:
            labels = one.inputs.get("labels") or {}
            smallest, largest = sizes(one.inputs)
            yield NodeGroup(
                name=str(labels.get("ml-platform/pool", one.name)),
                registration=one,
                template=next((templates[urn] for urn in one.dependencies if urn in templates), None),
                instance_types=tuple(one.inputs.get("instanceTypes") or ()),
                spot=one.inputs.get("capacityType") == "SPOT",
                min_size=smallest,
                max_size=largest,
                zones=len(one.inputs.get("subnetIds") or ()),
                labels=labels,
                taints=tuple(one.inputs.get("taints") or ()),
            )


def sizes(inputs: Mapping[str, Any]) -> tuple[int, int]:
    """Return a group's minimum and maximum number of nodes, from its inputs.

    The autoscaler keeps the sizes in the group's tags; without them, EKS keeps its own.
    """
    tags, scaling = inputs.get("tags") or {}, inputs.get("scalingConfig") or {}
    return (
        int(tags.get(SMALLEST_TAG, scaling.get("minSize", 0))),
        int(tags.get(LARGEST_TAG, scaling.get("maxSize", 0))),
    )

"""Rules about GPU nodes."""

from __future__ import annotations

from collections.abc import Iterator

from policies.rules.model import Finding, Plan, PlannedResource, Rule

_NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"


def _has_gpus(group: PlannedResource) -> bool:
    taints = group.properties.get("taints") or []
    tainted = any(taint.get("key") == "nvidia.com/gpu" for taint in taints)
    return tainted or "NVIDIA" in str(group.properties.get("amiType", ""))


def _gpu_pools_free_when_idle(plan: Plan) -> Iterator[Finding]:
    groups = [one for one in plan if one.type == _NODE_GROUP and _has_gpus(one)]
    bought = {group.urn: group.properties.get("capacityType", "ON_DEMAND") for group in groups}
    for group in groups:
        if "SPOT" not in bought.values():
            found = bought[group.urn]
            yield group, f"capacityType of GPU pool {group.name} is {found}; SPOT must be tried before it, by some pool"
        minimum = (group.properties.get("scalingConfig") or {}).get("minSize")
        if minimum != 0:
            yield group, f"scalingConfig.minSize of GPU pool {group.name} is {minimum} and must be 0"


GPU_POOLS_FREE_WHEN_IDLE = Rule(
    name="gpu-pools-free-when-idle",
    description="GPU node pools scale to zero, and one is spot capacity: idle GPUs cost nothing, busy ones little.",
    check=_gpu_pools_free_when_idle,
)

"""Rules about nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.rules.encryption import LAUNCH_TEMPLATE
from policies.rules.model import UNKNOWN, Context, Finding, Plan, PlannedResource, Rule, of_type
from policies.rules.reading import at, mappings, texts

NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
GPU = "nvidia.com/gpu"
MIN_SIZE_TAG = "ml-platform/min-size"
"""Tag of a node group with the minimum number of nodes that the autoscaler keeps."""
_GPU_TYPE = re.compile(r"(g|gr|p)\d")
_HOPS = 1


def _has_gpus(group: PlannedResource) -> bool:
    """Return whether a node group has GPUs, by instance type: its taint or label may be what is missing."""
    return "NVIDIA" in str(at(group.properties, "amiType")) or any(
        _GPU_TYPE.match(name) for name in texts(at(group.properties, "instanceTypes"))
    )


def _gpu_pools(plan: Plan) -> list[PlannedResource]:
    return [one for one in of_type(plan, NODE_GROUP) if _has_gpus(one)]


def _gpu_pools_on_spot(plan: Plan, _context: Context) -> Iterator[Finding]:
    pools = _gpu_pools(plan)
    bought = [at(pool.properties, "capacityType") for pool in pools]
    if "SPOT" in bought or UNKNOWN in bought:
        return
    for pool, found in zip(pools, bought, strict=True):
        message = (
            f"capacityType of GPU pool {pool.name} is {found or 'ON_DEMAND'}; SPOT must be tried before it, by some "
            "pool"
        )
        yield pool, message


GPU_POOLS_ON_SPOT = Rule(
    name="gpu-pools-on-spot",
    description="GPUs are bought as spot capacity; an on-demand pool may stand behind a spot one.",
    check=_gpu_pools_on_spot,
    whole_plan=True,
)


def _gpu_pools_free_when_idle(plan: Plan, _context: Context) -> Iterator[Finding]:
    for pool in _gpu_pools(plan):
        floors = {"scalingConfig.minSize": at(pool.properties, "scalingConfig", "minSize")}
        # The autoscaler keeps the size that this tag tells; without it, EKS keeps its own.
        if (kept := at(pool.properties, "tags", MIN_SIZE_TAG)) is not None:
            floors[f"tags.{MIN_SIZE_TAG}"] = kept
        for way, found in floors.items():
            if found not in (0, "0", UNKNOWN):
                yield pool, f"{way} of GPU pool {pool.name} is {found!r} and must be 0"


GPU_POOLS_FREE_WHEN_IDLE = Rule(
    name="gpu-pools-free-when-idle",
    description="GPU pools scale to zero: an idle GPU costs nothing.",
    check=_gpu_pools_free_when_idle,
)


def _gpu_pools_tainted(plan: Plan, _context: Context) -> Iterator[Finding]:
    for pool in _gpu_pools(plan):
        taints = at(pool.properties, "taints")
        found = [(at(one, "key"), at(one, "effect")) for one in mappings(taints)]
        if taints is not UNKNOWN and not any(key == GPU and effect != "PREFER_NO_SCHEDULE" for key, effect in found):
            yield pool, f"taints of GPU pool {pool.name} are {found}; one must be {GPU} with effect NO_SCHEDULE"


GPU_POOLS_TAINTED = Rule(
    name="gpu-pools-tainted",
    description="Nothing but what asks for a GPU runs on a GPU node, and keeps it from going.",
    check=_gpu_pools_tainted,
)


def _node_metadata_guarded(plan: Plan, _context: Context) -> Iterator[Finding]:
    for resource in of_type(plan, LAUNCH_TEMPLATE, "aws:ec2/instance:Instance"):
        options = at(resource.properties, "metadataOptions")
        tokens, hops = at(options, "httpTokens"), at(options, "httpPutResponseHopLimit")
        if at(options, "httpEndpoint") == "disabled":
            continue
        if tokens not in ("required", UNKNOWN):
            message = f"metadataOptions.httpTokens of {resource.name} is {tokens!r} and must be 'required' (IMDSv2)"
            yield resource, message
        if hops not in (_HOPS, UNKNOWN):
            message = (
                f"metadataOptions.httpPutResponseHopLimit of {resource.name} is {hops!r} and must be {_HOPS}: a pod is "
                "one hop further away than its node"
            )
            yield resource, message
    for group in of_type(plan, NODE_GROUP):
        if at(group.properties, "launchTemplate") is None:
            yield group, f"node group {group.name} has no launch template; its pods could take the node's credentials"


NODE_METADATA_GUARDED = Rule(
    name="node-metadata-guarded",
    description="The metadata service wants a token (IMDSv2) and answers the node alone (hop limit 1), so that no pod "
    "takes the node's credentials: pods have roles of their own.",
    check=_node_metadata_guarded,
)

NODE_RULES = (GPU_POOLS_ON_SPOT, GPU_POOLS_FREE_WHEN_IDLE, GPU_POOLS_TAINTED, NODE_METADATA_GUARDED)

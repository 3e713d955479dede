"""The tags that every resource of an environment carries."""

from __future__ import annotations

from infra.naming import PROJECT

COST_TAG = "Platform"
"""The tag that tells one environment's costs from all others in the account."""
SMALLEST_TAG, LARGEST_TAG = "ml-platform/min-size", "ml-platform/max-size"
"""The tags of a node group that say how many nodes its pool has at least and at most: the autoscaler keeps them, and
the node group's own sizes say nothing (docs/decisions/0006-the-autoscaler-keeps-the-sizes-of-pools.md)."""


def standard_tags(environment: str) -> dict[str, str]:
    """What the provider puts on all it makes; the keys are the ones cost reports group by."""
    return {
        "Project": PROJECT,
        "Environment": environment,
        COST_TAG: f"{PROJECT}-{environment}",
        "ManagedBy": "pulumi",
    }

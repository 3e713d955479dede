"""The tags that every resource of an environment carries."""

from __future__ import annotations

from infra.naming import PROJECT

COST_TAG = "Platform"
"""Tag that separates one environment's costs from all others in the account."""
SMALLEST_TAG, LARGEST_TAG = "ml-platform/min-size", "ml-platform/max-size"
"""Tags of a node group that hold the fewest and most nodes of its pool: the autoscaler keeps them, and
the node group's own sizes say nothing (docs/decisions/0006-the-autoscaler-keeps-the-sizes-of-pools.md)."""


def standard_tags(environment: str) -> dict[str, str]:
    """Return the tags that the provider puts on all it makes; cost reports group by their keys."""
    return {
        "Project": PROJECT,
        "Environment": environment,
        COST_TAG: f"{PROJECT}-{environment}",
        "ManagedBy": "pulumi",
    }

"""What is deleted before all else, so that a protected environment refuses before anything is gone."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_random as random


def deletion_guard(
    name: str, *, protect: bool, guarded: Sequence[pulumi.Resource], opts: pulumi.ResourceOptions | None = None
) -> random.RandomId:
    """Make a resource that depends on all of `guarded` and is protected where `protect` is true.

    Pulumi looks at the protection of a resource when its turn to be deleted comes, and what depends on others has its
    turn before them. Without the guard, `pulumi destroy --skip-preview` deletes services, namespaces and nodes before
    it reaches the first protected resource.
    """
    own = pulumi.ResourceOptions(protect=protect, depends_on=list(guarded))
    return random.RandomId(name, byte_length=1, opts=pulumi.ResourceOptions.merge(opts, own))

"""The environment that all of its components are given."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra import naming
from infra.tags import standard_tags

_RECOVERY_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An environment in its account and region, and what all of its resources have in common."""

    name: str
    region: str
    partition: pulumi.Input[str]
    account: pulumi.Input[str]
    deletable: bool
    """Whether resources that hold data can be destroyed, without a trace."""
    permissions_boundary: str | None
    """ARN of the permissions boundary of every role."""
    emulated: bool = False
    """Whether an emulator takes the place of AWS, at an endpoint without TLS."""

    @property
    def cluster_name(self) -> str:
        """Return the name of the EKS cluster."""
        return naming.cluster_name(self.name)

    @property
    def role_path(self) -> str:
        """Return the path of every role; it ends in a slash."""
        return naming.role_path(self.name)

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags of what the provider does not tag by itself."""
        return standard_tags(self.name)

    @property
    def recovery_days(self) -> int:
        """Return how long a deleted secret can be restored, in days; with 0 it is gone at once."""
        return 0 if self.deletable else _RECOVERY_DAYS

"""A stack's configuration: `ml-platform:settings` of `Pulumi.<stack>.yaml`, typed and validated offline.

Defaults are production's; a stack that wants less says so in its file.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from infra.addresses import check_network
from infra.stack_settings import SettingsModel, StackSettings

NatGateways = Literal["none", "single", "per_zone"]


class NetworkSettings(SettingsModel):
    """The VPC: its address range and how private subnets reach the internet."""

    cidr: Annotated[IPv4Network, AfterValidator(check_network)] = IPv4Network("10.0.0.0/16")
    nat_gateways: NatGateways = "per_zone"


class ClusterSettings(SettingsModel):
    """The EKS cluster: Kubernetes minor version, and the addresses that may reach its public endpoint."""

    kubernetes_version: str = Field(default="1.35", pattern=r"^1\.\d{2}$")
    public_access_cidrs: tuple[IPv4Network, ...] = ()
    """Empty closes the public endpoint."""


class NodePoolSettings(SettingsModel):
    """One managed node group. GPU pools carry the taint `nvidia.com/gpu` and the NVIDIA image."""

    instance_types: tuple[str, ...] = Field(min_length=1)
    capacity: Literal["on_demand", "spot"] = "on_demand"
    min_size: int = Field(ge=0)
    max_size: int = Field(ge=1)
    disk_gib: int = Field(default=50, ge=20, le=16384)
    gpu: bool = False

    @model_validator(mode="after")
    def _sizes_are_ordered(self) -> Self:
        if self.min_size > self.max_size:
            raise ValueError(f"min_size {self.min_size} is above max_size {self.max_size}")
        return self


class DatabaseSettings(SettingsModel):
    """The PostgreSQL instance."""

    instance_class: str = Field(default="db.m7g.large", pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$")
    storage_gib: int = Field(default=100, ge=20, le=65536)
    multi_az: bool = True
    deletion_protection: bool = True
    backup_retention_days: int = Field(default=14, ge=1, le=35)


class ArtifactSettings(SettingsModel):
    """The artifact bucket. A version is deleted `retention_days` after a newer one took its place."""

    retention_days: int = Field(default=90, ge=1)
    deletable: bool = False
    """Whether `pulumi destroy` may delete the bucket with what it holds."""


class EmulatorSettings(SettingsModel):
    """An AWS emulator in place of AWS; only the stack that runs on a laptop sets it."""

    endpoint: str | None = Field(default=None, pattern=r"^http://127\.0\.0\.1:\d+$")


def _default_node_pools() -> dict[str, NodePoolSettings]:
    return {
        "core": NodePoolSettings(instance_types=("m7i.xlarge",), min_size=2, max_size=6),
        "gpu": NodePoolSettings(
            instance_types=("g6.xlarge", "g5.xlarge"), capacity="spot", min_size=0, max_size=5, disk_gib=200, gpu=True
        ),
    }


class PlatformSettings(StackSettings):
    """Everything in which one environment may differ from another."""

    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    zones: tuple[str, ...] = Field(min_length=3, max_length=3)
    deploy_role_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")
    network: NetworkSettings = NetworkSettings()
    cluster: ClusterSettings = ClusterSettings()
    node_pools: dict[str, NodePoolSettings] = Field(default_factory=_default_node_pools, min_length=1)
    database: DatabaseSettings = DatabaseSettings()
    artifacts: ArtifactSettings = ArtifactSettings()
    services: bool = True
    """Whether MLflow runs in the cluster; off where there is no cluster to run it in."""
    aws: EmulatorSettings = EmulatorSettings()

    @model_validator(mode="after")
    def _zones_lie_in_the_region(self) -> Self:
        strangers = [zone for zone in self.zones if not zone.startswith(self.region)]
        if strangers:
            raise ValueError(f"zones {', '.join(strangers)} are not in region {self.region}")
        if len(set(self.zones)) < len(self.zones):
            raise ValueError(f"zones {', '.join(self.zones)} name one zone twice")
        return self

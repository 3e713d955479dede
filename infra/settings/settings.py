"""A stack's configuration: `ml-platform:settings` of `Pulumi.<stack>.yaml`, typed and validated offline.

Defaults are production's; a stack that wants less says so in its file. A check that needs two fields belongs to the
later one, so that all faults of a file come out at once.
"""

from __future__ import annotations

import re
from datetime import date
from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from infra.facts.instance_types import INSTANCE_TYPES, known_instance_type
from infra.facts.kubernetes_versions import support_warning, supported_version
from infra.naming import secret_prefix
from infra.network.addresses import check_network
from infra.settings.edge_settings import EdgeSettings
from infra.settings.service_settings import ServicesSettings
from infra.settings.stack_settings import SettingsModel, StackSettings
from infra.settings.windows import DAILY_WINDOW, WEEKLY_WINDOW, overlap

NatGateways = Literal["none", "single", "per_zone"]
InterfaceEndpoint = Literal["ecr.api", "ecr.dkr", "sts", "ec2", "eks", "secretsmanager", "logs"]
LogType = Literal["api", "audit", "authenticator", "controllerManager", "scheduler"]
LogRetentionDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731]
RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")]
InstanceTypeName = Annotated[str, AfterValidator(known_instance_type)]

ENDPOINTS_WITHOUT_NAT: tuple[InterfaceEndpoint, ...] = ("ecr.api", "ecr.dkr", "sts", "ec2", "eks")
"""Endpoints that nodes need to join and to pull images when there is no NAT gateway
(https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html)."""
_POOL_NAME = re.compile(r"^[a-z][a-z0-9-]{0,23}$")


class NetworkSettings(SettingsModel):
    """The VPC: its address range and how private subnets reach the internet and AWS."""

    cidr: Annotated[IPv4Network, AfterValidator(check_network)] = IPv4Network("10.0.0.0/16")
    """Address range of the VPC, /16 to /22."""
    peered_cidrs: tuple[IPv4Network, ...] = ()
    """Ranges of networks that this one is, or will be, peered with; it may overlap none of them."""
    interface_endpoints: tuple[InterfaceEndpoint, ...] = ()
    """AWS services that private subnets reach without NAT; each costs about 7 USD a month and zone."""
    nat_gateways: NatGateways = "per_zone"
    """How private subnets reach the internet: through one gateway a zone, one in all, or not."""
    flow_logs: bool = True
    """Whether the network's traffic is recorded in the log bucket."""

    @field_validator("peered_cidrs")
    @classmethod
    def _peers_lie_elsewhere(cls, peers: tuple[IPv4Network, ...], info: ValidationInfo) -> tuple[IPv4Network, ...]:
        cidr = info.data.get("cidr")
        overlapping = [str(peer) for peer in peers if cidr and peer.overlaps(cidr)]
        if overlapping:
            raise ValueError(f"network.cidr {cidr} overlaps {', '.join(overlapping)}; choose another range")
        return peers

    @field_validator("nat_gateways")
    @classmethod
    def _nodes_can_join(cls, choice: NatGateways, info: ValidationInfo) -> NatGateways:
        missing = [one for one in ENDPOINTS_WITHOUT_NAT if one not in info.data.get("interface_endpoints", ())]
        if choice == "none" and missing:
            raise ValueError(
                f"without NAT, nodes join through interface_endpoints, which lack {', '.join(missing)}; add them"
            )
        return choice


class ClusterSettings(SettingsModel):
    """The EKS cluster."""

    kubernetes_version: Annotated[str, AfterValidator(supported_version)] = "1.35"
    """Kubernetes minor version; one that EKS still supports at no extra price."""
    public_access_cidrs: tuple[IPv4Network, ...] = ()
    """Address ranges that may reach the API endpoint from the internet; empty closes it to all but the VPC."""
    admin_roles: tuple[RoleArn, ...] = ()
    """ARNs of IAM roles that administer the cluster. The deploy role always does and is not named here."""
    viewer_roles: tuple[RoleArn, ...] = ()
    """ARNs of IAM roles that may look at what runs, but not at secrets."""
    preview_role: RoleArn | None = None
    """ARN of the role that previews pull requests; it reads all, Secrets too, where Helm keeps releases."""
    log_types: tuple[LogType, ...] = ("api", "audit", "authenticator")
    """Control-plane logs that go to CloudWatch."""

    @field_validator("viewer_roles", "preview_role")
    @classmethod
    def _a_role_has_one_entry(cls, given: tuple[str, ...] | str | None, info: ValidationInfo) -> object:
        before = (*info.data.get("admin_roles", ()), *info.data.get("viewer_roles", ()))
        twice = [role for role in ((given,) if isinstance(given, str) else given or ()) if role in before]
        if twice:
            raise ValueError(f"{', '.join(twice)} is in another list of roles too; EKS takes one entry a role")
        return given


class NodePoolSettings(SettingsModel):
    """One managed node group. GPU pools carry the taint `nvidia.com/gpu` and the NVIDIA image."""

    gpu: bool = False
    """Whether the pool is for GPU work: tainted, so that nothing else lands on it."""
    instance_types: tuple[InstanceTypeName, ...] = Field(min_length=1)
    """Types of one shape, in order of preference; more types make spot capacity likelier."""
    capacity: Literal["on_demand", "spot"] = "on_demand"
    """Purchase option of the nodes."""
    min_size: int = Field(ge=0)
    """Fewest nodes; 0 for GPU pools, which then cost nothing when idle."""
    max_size: int = Field(ge=1, le=450)
    """Most nodes the autoscaler may start."""
    disk_gib: int = Field(default=50, ge=20, le=16384)
    """Size of a node's disk, in GiB."""
    disk_throughput_mibps: int | None = Field(default=None, ge=125, le=1000)
    """Throughput of the disk, in MiB/s; 500 in GPU pools, whose images are large, and 125 elsewhere unless given."""
    zones: tuple[str, ...] = ()
    """Zones that nodes may be in; empty means all. One zone where a job's ranks must be near each other."""

    @field_validator("instance_types")
    @classmethod
    def _types_fit(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        shapes = {INSTANCE_TYPES[name].shape for name in names}
        if len(shapes) > 1:
            found = "; ".join(f"{name} {INSTANCE_TYPES[name]}" for name in names)
            raise ValueError(f"the types of a pool must have one shape, or the autoscaler misjudges it: {found}")
        has_gpus = any(INSTANCE_TYPES[name].gpus for name in names)
        if info.data.get("gpu", has_gpus) != has_gpus:
            fault = "have GPUs; set gpu: true" if has_gpus else "have no GPU; choose g or p types, or set gpu: false"
            raise ValueError(f"{', '.join(names)} {fault}")
        return names

    @field_validator("max_size")
    @classmethod
    def _sizes_are_ordered(cls, largest: int, info: ValidationInfo) -> int:
        smallest = info.data.get("min_size", 0)
        if smallest > largest:
            raise ValueError(f"min_size {smallest} is above max_size {largest}")
        return largest

    @property
    def throughput_mibps(self) -> int:
        """Return the disk's throughput in MiB/s, given or by the kind of pool."""
        return self.disk_throughput_mibps or (500 if self.gpu else 125)

    @property
    def max_gpus(self) -> int:
        """Return the number of GPUs of all nodes that the pool may have."""
        return self.max_size * INSTANCE_TYPES[self.instance_types[0]].gpus


class DatabaseSettings(SettingsModel):
    """The PostgreSQL instance."""

    instance_class: str = Field(default="db.m7g.large", pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$")
    """RDS instance class."""
    storage_gib: int = Field(default=100, ge=20, le=65536)
    """Storage at first, in GiB."""
    max_storage_gib: int = Field(default=1000, ge=22, le=65536)
    """Limit of the storage's automatic growth, in GiB."""
    multi_az: bool = True
    """Whether a standby in a second zone takes over when the first fails."""
    max_connections: int = Field(default=500, ge=50, le=5000)
    """Limit of connections, at most about 100 a GiB of the instance's memory; a change takes effect with a restart."""
    backup_retention_days: int = Field(default=14, ge=1, le=35)
    """Days for which daily backups, and the log to restore any point between them, are kept."""
    backup_window: str = Field(default="03:00-04:00", pattern=DAILY_WINDOW)
    """Daily window of backups, UTC."""
    maintenance_window: str = Field(default="sun:04:30-sun:05:30", pattern=WEEKLY_WINDOW)
    """Weekly window in which AWS may patch the instance, UTC; it may not overlap the backup window."""
    password_generation: int = Field(default=1, ge=1)
    """Raise it by one, and `pulumi up` gives every database login and Airflow's administrator a new password."""

    @field_validator("max_storage_gib")
    @classmethod
    def _storage_can_grow(cls, largest: int, info: ValidationInfo) -> int:
        storage = info.data.get("storage_gib", 0)
        if largest * 10 < storage * 11:
            raise ValueError(
                f"RDS wants at least a tenth more than storage_gib {storage}; use {-(-storage * 11 // 10)}"
            )
        return largest

    @field_validator("maintenance_window")
    @classmethod
    def _windows_are_apart(cls, window: str, info: ValidationInfo) -> str:
        backup = info.data.get("backup_window")
        if backup and overlap(weekly=window, daily=backup):
            raise ValueError(f"it overlaps backup_window {backup}; RDS refuses that")
        return window


class StorageSettings(SettingsModel):
    """The buckets for artifacts, data sets and logs."""

    noncurrent_days: int = Field(default=90, ge=1)
    """Days for which a version is kept after a newer one took its place, or it was deleted."""
    archive_after_days: int = Field(default=90, ge=1)
    """Days after which artifacts go to Glacier Instant Retrieval, and logs to Deep Archive."""
    log_retention_days: int = Field(default=400, ge=1)
    """Days for which logs are kept."""


class BudgetSettings(SettingsModel):
    """The environment's monthly budget, and the receivers of its alerts."""

    monthly_usd: int = Field(default=1500, ge=1)
    """Monthly budget, in US dollars; alerts are sent at 80 % and 100 %, and when the month's forecast exceeds it."""
    emails: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s.]+$")], ...] = Field(default=(), max_length=10)
    """Addresses that get alerts; AWS asks each for confirmation first."""


class EmulatorSettings(SettingsModel):
    """An AWS emulator in place of AWS; only the stack that runs on a laptop sets it."""

    endpoint: str | None = Field(default=None, pattern=r"^http://127\.0\.0\.1:\d+$")
    """URL at which the emulator listens."""


def _default_node_pools() -> dict[str, NodePoolSettings]:
    return {
        "core": NodePoolSettings(instance_types=("m7i.xlarge",), min_size=2, max_size=6),
        "gpu": NodePoolSettings(
            instance_types=("g6.xlarge", "g5.xlarge"), capacity="spot", min_size=0, max_size=5, disk_gib=200, gpu=True
        ),
    }


class PlatformSettings(StackSettings):
    """Settings of the platform stack."""

    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    """AWS region."""
    zones: tuple[str, ...] = Field(min_length=3, max_length=3)
    """The region's three availability zones to use."""
    deploy_role_arn: RoleArn | None = None
    """ARN of the role that deploys; `mlp bootstrap` makes it. Without one, the caller's own credentials deploy."""
    permissions_boundary_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:iam::(\d{12}|aws):policy/.+$")
    """ARN of the permissions boundary of every role."""
    protect_data: bool = True
    """Whether resources that hold data refuse to be destroyed: database, buckets, image repositories, cluster."""
    network: NetworkSettings = NetworkSettings()
    cluster: ClusterSettings = ClusterSettings()
    node_pools: dict[str, NodePoolSettings] = Field(default_factory=_default_node_pools, min_length=1)
    """Node groups by name. One that is not for GPUs must always have a node, for the platform's own services."""
    database: DatabaseSettings = DatabaseSettings()
    storage: StorageSettings = StorageSettings()
    log_group_retention_days: LogRetentionDays = 90
    """Days for which CloudWatch keeps the logs of control plane and database."""
    edge: EdgeSettings = EdgeSettings()
    budget: BudgetSettings = BudgetSettings()
    services: ServicesSettings = ServicesSettings()
    aws: EmulatorSettings = EmulatorSettings()

    @field_validator("zones")
    @classmethod
    def _zones_lie_in_the_region(cls, zones: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        region = info.data.get("region", "")
        unknown = [zone for zone in zones if not zone.startswith(region)]
        if unknown:
            raise ValueError(f"zones {', '.join(unknown)} are not in region {region}")
        if len(set(zones)) < len(zones):
            raise ValueError(f"zones {', '.join(zones)} name one zone twice")
        return zones

    @field_validator("cluster")
    @classmethod
    def _the_deploy_role_has_its_entry(cls, cluster: ClusterSettings, info: ValidationInfo) -> ClusterSettings:
        role = info.data.get("deploy_role_arn")
        if role and role in (*cluster.admin_roles, *cluster.viewer_roles, cluster.preview_role):
            raise ValueError(f"{role} deploys and is an administrator by that; take it out of the cluster's roles")
        return cluster

    @field_validator("edge")
    @classmethod
    def _the_cluster_may_read_the_client(cls, edge: EdgeSettings, info: ValidationInfo) -> EdgeSettings:
        region, environment = info.data.get("region"), info.data.get("environment")
        if edge.oidc and region and environment:
            *_, found_region, _account, _kind, name = edge.oidc.client_secret_arn.split(":", 6)
            prefix = secret_prefix(environment)
            if found_region != region or not name.startswith(prefix):
                raise ValueError(
                    f"oidc.client_secret_arn names {name} in {found_region}; it must be a secret in {region} whose "
                    f"name begins with {prefix}, since the cluster may read no other"
                )
        return edge

    @field_validator("node_pools")
    @classmethod
    def _pools_can_run_the_platform(
        cls, pools: dict[str, NodePoolSettings], info: ValidationInfo
    ) -> dict[str, NodePoolSettings]:
        known = info.data.get("zones", ())
        for name, pool in pools.items():
            if not _POOL_NAME.match(name):
                raise ValueError(f"pool name {name!r} must be lower-case letters, digits and dashes, at most 24")
            unknown = [zone for zone in pool.zones if known and zone not in known]
            if unknown:
                raise ValueError(f"{name}.zones {', '.join(unknown)} are not among zones {', '.join(known)}")
        if not any(pool.min_size and not pool.gpu for pool in pools.values()):
            raise ValueError("no pool without GPUs has min_size 1 or more; the platform's services need such nodes")
        return pools

    @field_validator("services")
    @classmethod
    def _pools_hold_what_jobs_may_ask_for(cls, services: ServicesSettings, info: ValidationInfo) -> ServicesSettings:
        pools: dict[str, NodePoolSettings] = info.data.get("node_pools", {})
        held, quota = sum(pool.max_gpus for pool in pools.values()), services.max_training_gpus
        if pools and quota is not None and quota > held:
            sizes = ", ".join(f"{name} {pool.max_gpus}" for name, pool in pools.items() if pool.gpu) or "none for GPUs"
            raise ValueError(
                f"max_training_gpus {quota} is above the {held} GPUs that the node pools hold at their max_size "
                f"({sizes}), so that jobs would wait for nodes that never come; lower it or raise max_size"
            )
        return services

    @property
    def training_gpus(self) -> int:
        """Return the number of GPUs that all training jobs together may ask for: what the pools hold, or less."""
        held = sum(pool.max_gpus for pool in self.node_pools.values())
        return held if self.services.max_training_gpus is None else self.services.max_training_gpus

    def warnings(self, today: date | None = None) -> tuple[str, ...]:
        """Return warnings of what is allowed and probably not meant, or due soon."""
        found = [support_warning(self.cluster.kubernetes_version, today or date.today())]  # noqa: DTZ011  days apart
        for name, pool in self.node_pools.items():
            v100 = [one for one in pool.instance_types if INSTANCE_TYPES[one].gpu == "V100"]
            if v100:
                found.append(
                    f"node_pools.{name}: {', '.join(v100)} have V100 GPUs, which CUDA 13 and PyTorch builds for CUDA "
                    "12.8 and later no longer support; g6 and g5 do the same work"
                )
            if pool.capacity == "spot" and len(pool.instance_types) == 1:
                found.append(
                    f"node_pools.{name}: spot capacity of {pool.instance_types[0]} alone runs out easily; "
                    "name several types of its shape"
                )
        if not self.budget.emails and not self.aws.endpoint:
            found.append("budget.emails is empty: nobody will be told when the budget is exceeded")
        return tuple(one for one in found if one)

"""The configuration of the workloads stack: `ml-platform-workloads:settings` of its stack files."""

from __future__ import annotations

from pydantic import Field

from infra.settings.stack_settings import SettingsModel, StackSettings


class TrainingJobSettings(SettingsModel):
    """The pods that train: each what fits one node of the GPU pool, with room for the node's own daemons."""

    workers: int = Field(default=1, ge=1)
    """Number of pods, each on a node of its own."""
    cpus: int = Field(default=3, ge=1)
    memory_gib: int = Field(default=12, ge=2)
    gpus: int = Field(default=1, ge=1)
    cache_gib: int = Field(default=20, ge=1, le=16384)
    """Disk for a pod's copy of the data set, files and decoded images together, in GiB."""
    deadline_hours: int = Field(default=12, ge=1, le=168)
    """Hours after which a job is ended, those in which it waits for its pods included."""
    start_minutes: int = Field(default=30, ge=5, le=1440)
    """Minutes within which all pods of a job must run; one that has not got them by then gives back those it has."""
    usd_per_hour: float = Field(default=0.4, ge=0)
    """Price of a worker's node, in US dollars an hour, for the cost of recorded runs: about that of spot g6.xlarge."""

    @property
    def ranks(self) -> int:
        """Return the number of ranks, one a GPU."""
        return self.workers * self.gpus

    @property
    def price_per_hour(self) -> float:
        """Return the price of all workers together, in US dollars an hour."""
        return round(self.workers * self.usd_per_hour, 4)


class WorkloadSettings(StackSettings):
    """Settings of the workloads stack."""

    deploy_role_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")
    pipelines: bool = False
    """Whether the platform of the same name runs Airflow, which then gets a ConfigMap of images and jobs."""
    training: TrainingJobSettings = TrainingJobSettings()

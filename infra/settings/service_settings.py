"""Settings of the services that run in the cluster; defaults are production's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from infra.settings.stack_settings import SettingsModel

AccountPermission = Literal["READ", "EDIT", "PROMOTE", "MANAGE"]
AccountName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9._-]{1,31}$")]


class MlflowSettings(SettingsModel):
    """The tracking server and model registry."""

    min_replicas: int = Field(default=2, ge=1, le=10)
    """Fewest servers; with one, an upgrade or a lost node is a short outage."""
    max_replicas: int = Field(default=5, ge=1, le=20)
    """Most servers that the autoscaler starts under load; as many as `min_replicas` for no autoscaling."""
    accounts: dict[AccountName, AccountPermission] = Field(default_factory=dict)
    """People and programs that log in, by name, and what they may do with all experiments and models.

    Only PROMOTE, which includes EDIT, moves the aliases of models.
    """

    @field_validator("max_replicas")
    @classmethod
    def _replicas_are_ordered(cls, largest: int, info: ValidationInfo) -> int:
        smallest = info.data.get("min_replicas", 1)
        if smallest > largest:
            raise ValueError(f"min_replicas {smallest} is above max_replicas {largest}")
        return largest


class AirflowSettings(SettingsModel):
    """The pipelines."""

    enabled: bool = False
    """Whether Airflow runs; `workloads/dags` has no pipeline for it yet."""
    replicas: int = Field(default=2, ge=1, le=5)
    """Number of API servers, and of schedulers."""
    dags_repository: str | None = Field(default=None, pattern=r"^https://[^\s]+\.git$")
    """Public git repository to follow, where it holds `workloads/dags`; null for the DAGs that are in the image."""
    dags_branch: str = Field(default="main", pattern=r"^[\w./-]+$")
    """Branch of the git repository."""


class MonitoringSettings(SettingsModel):
    """Metrics, dashboards and alerts."""

    enabled: bool = True
    """Whether metrics are collected, dashboards shown and alerts sent."""
    retention_days: int = Field(default=15, ge=1, le=365)
    """Days for which metrics are kept."""
    storage_gib: int = Field(default=50, ge=5, le=16384)
    """Disk for metrics, in GiB."""
    replicas: int = Field(default=2, ge=1, le=3)
    """Number of Alertmanagers; with one, all of monitoring is small."""
    slack_secret_arn: str | None = Field(
        default=None, pattern=r"^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:.+$"
    )
    """ARN of a secret `{"url": "https://hooks.slack.com/..."}` under the environment's prefix, for alerts to Slack."""


class ServicesSettings(SettingsModel):
    """The services in the cluster."""

    enabled: bool = True
    """Whether anything runs in the cluster; off where there is no cluster to run it in."""
    controller_replicas: int = Field(default=2, ge=1, le=3)
    """Number of copies of each controller of load balancers and secrets."""
    max_training_gpus: int | None = Field(default=None, ge=0)
    """Number of GPUs that all training jobs together may ask for; null for all that the pools have at `max_size`."""
    mlflow: MlflowSettings = MlflowSettings()
    airflow: AirflowSettings = AirflowSettings()
    monitoring: MonitoringSettings = MonitoringSettings()

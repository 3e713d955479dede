"""The configuration of the workloads stack: `ml-platform-workloads:settings` of its stack files."""

from __future__ import annotations

from pydantic import Field

from infra.stack_settings import SettingsModel, StackSettings


class TrainingJobSettings(SettingsModel):
    """The pod that trains: what fits one node of the GPU pool, with room for the node's own daemons."""

    cpus: int = Field(default=3, ge=1)
    memory_gib: int = Field(default=12, ge=2)
    gpus: int = Field(default=1, ge=1)
    deadline_hours: int = Field(default=12, ge=1, le=168)
    """A job that runs longer, or waits longer for its node, is ended."""


class WorkloadSettings(StackSettings):
    """Everything in which the workloads of one environment may differ from another's."""

    deploy_role_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")
    pipelines: bool = True
    """Whether the platform runs Airflow, which is then told of images and jobs."""
    training: TrainingJobSettings = TrainingJobSettings()

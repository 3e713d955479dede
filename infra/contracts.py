"""Outputs of a stack: exported by the producer, read by the consumer, named once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import pulumi

from infra.projects import platform_project


@dataclass(frozen=True, kw_only=True)
class _Outputs:
    """A stack's outputs: one field an output, exported and read under the field's name."""

    def export(self) -> None:
        """Export every field as an output of the running stack."""
        for field in fields(self):
            pulumi.export(field.name, getattr(self, field.name))

    @classmethod
    def read(cls, reference: pulumi.StackReference) -> Self:
        """Return the outputs of another stack; raise pulumi.RunError with the name of one that it lacks."""
        return cls(**{field.name: _required(reference, field.name) for field in fields(cls)})


def _required(reference: pulumi.StackReference, name: str) -> pulumi.Output[Any]:
    def present(value_and_stack: Sequence[Any]) -> Any:
        value, stack = value_and_stack
        if value is None:
            raise pulumi.RunError(
                f"Stack {stack} has no output {name}: it was never brought up, was destroyed, or is of another version "
                f"of this program; run `pulumi up -s {pulumi.get_stack()}` in the root of the repository first"
            )
        return value

    return pulumi.Output.all(reference.get_output(name), reference.name).apply(present)


@dataclass(frozen=True, kw_only=True)
class PlatformOutputs(_Outputs):
    """What the platform stack offers to the workloads stack and to people, to whom docs/operations.md tells its use."""

    region: pulumi.Input[str]
    vpc_id: pulumi.Input[str]
    cluster_name: pulumi.Input[str]
    kubeconfig: pulumi.Input[str]
    """Kubeconfig, a secret; it logs in through the `aws` command, which must be installed."""
    artifact_bucket: pulumi.Input[str]
    dataset_bucket: pulumi.Input[str]
    log_bucket: pulumi.Input[str]
    database_host: pulumi.Input[str]
    database_secret_arn: pulumi.Input[str]
    """ARN of the secret with the administrator's login, as JSON."""
    database_owner_secret_arns: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """ARN of the secret with the login of each database's owner, as JSON, by the service's name."""
    repository_urls: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """URL of each image's repository, by the image's name."""
    training_namespace: pulumi.Input[str]
    """Namespace of jobs; empty where services are off, as the outputs below."""
    training_service_account: pulumi.Input[str]
    training_login_secret: pulumi.Input[str]
    """Name of the Kubernetes Secret with the login, `username` and `password`, with which jobs use MLflow."""
    max_training_gpus: pulumi.Input[int]
    """Number of GPUs that all training jobs together may ask for; 0 where services are off."""
    pipelines_config_map_uid: pulumi.Input[str]
    """UID of the ConfigMap by which pipelines learn of the workloads; empty where Airflow is off."""
    promoter_secret_arn: pulumi.Input[str]
    """ARN of the secret with the login, as JSON, that may move the aliases of models; empty where services are off."""
    alert_topic_arn: pulumi.Input[str]
    service_urls: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """URL of each service inside the cluster, by the service's name; empty where services are off."""
    public_urls: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """URL of each service from outside, by the service's name; empty where the entrance is off."""


def platform_stack() -> str:
    """Return the full name of the platform's stack: of the organization and environment of the stack that is run."""
    return f"{pulumi.get_organization()}/{platform_project()}/{pulumi.get_stack()}"


def tracking_url(service_urls: Mapping[str, str], stack: str) -> str:
    """Return the URL at which jobs record themselves; raise pulumi.RunError where the platform runs no services."""
    url = service_urls.get("mlflow")
    if not url:
        raise pulumi.RunError(
            f"Stack {stack} of the platform runs no services (services.enabled is false), and jobs need its tracking "
            f"server; turn the services on, or run `pulumi destroy -s {stack}` in stacks/workloads and delete its "
            f"Pulumi.{stack}.yaml there"
        )
    return url


def config_map_to_fill(uid: str, stack: str) -> str:
    """Return the UID of the ConfigMap for pipelines; raise pulumi.RunError where the platform runs no Airflow."""
    if not uid:
        raise pulumi.RunError(
            f"Stack {stack} of the platform runs no Airflow (services.airflow.enabled is false), but pipelines is on "
            f"in stacks/workloads/Pulumi.{stack}.yaml; turn Airflow on and run `pulumi up -s {stack}` in the root, or "
            f"turn pipelines off there and run `pulumi up --refresh -s {stack}`"
        )
    return uid


@dataclass(frozen=True, kw_only=True)
class WorkloadOutputs(_Outputs):
    """What the workloads stack offers: images by digest, and manifests that name them."""

    training_image: pulumi.Input[str]
    training_job: pulumi.Input[Mapping[str, Any]]
    """A RayJob manifest, ready for `kubectl create`."""

"""What one stack tells the next: exported by the producer, read by the consumer, named once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import pulumi


@dataclass(frozen=True, kw_only=True)
class _Outputs:
    """A stack's outputs: one field an output, exported and read under the field's name."""

    def export(self) -> None:
        """Export every field as an output of the running stack."""
        for field in fields(self):
            pulumi.export(field.name, getattr(self, field.name))

    @classmethod
    def read(cls, reference: pulumi.StackReference) -> Self:
        """The outputs of another stack; one that it lacks raises pulumi.RunError with its name."""
        return cls(**{field.name: _required(reference, field.name) for field in fields(cls)})


def _required(reference: pulumi.StackReference, name: str) -> pulumi.Output[Any]:
    def present(value_and_stack: Sequence[Any]) -> Any:
        value, stack = value_and_stack
        if value is None:
            raise pulumi.RunError(f"Stack {stack} has no output {name}; run `pulumi up` there first")
        return value

    return pulumi.Output.all(reference.get_output(name), reference.name).apply(present)


@dataclass(frozen=True, kw_only=True)
class PlatformOutputs(_Outputs):
    """What the platform stack offers to the workloads stack and to people, to whom docs/operations.md tells its use."""

    region: pulumi.Input[str]
    vpc_id: pulumi.Input[str]
    cluster_name: pulumi.Input[str]
    kubeconfig: pulumi.Input[str]
    """Secret. Logs in through the `aws` command, which must be installed."""
    artifact_bucket: pulumi.Input[str]
    dataset_bucket: pulumi.Input[str]
    log_bucket: pulumi.Input[str]
    database_host: pulumi.Input[str]
    database_secret_arn: pulumi.Input[str]
    """Holds the administrator's login as JSON."""
    database_owner_secret_arns: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """The same for the owner of each service's database, by its name."""
    repository_urls: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """By image name."""
    training_namespace: pulumi.Input[str]
    """Where jobs run; empty where services are off, as what follows."""
    training_service_account: pulumi.Input[str]
    training_login_secret: pulumi.Input[str]
    """The Kubernetes Secret with the login, `username` and `password`, with which jobs use MLflow."""
    alert_topic_arn: pulumi.Input[str]
    service_urls: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """By service name, as seen inside the cluster; empty where services are off."""
    public_urls: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """The same from outside; empty where the entrance is off."""


def tracking_url(service_urls: Mapping[str, str], stack: str) -> str:
    """Return where jobs record themselves; raise pulumi.RunError where the platform runs no services."""
    url = service_urls.get("mlflow")
    if not url:
        raise pulumi.RunError(
            f"Stack {stack} of the platform runs no services (services.enabled is false), and jobs need its tracking "
            f"server; turn the services on, or run `pulumi destroy -s {stack}` in stacks/workloads and delete its "
            f"Pulumi.{stack}.yaml there"
        )
    return url


@dataclass(frozen=True, kw_only=True)
class WorkloadOutputs(_Outputs):
    """What the workloads stack offers: images by digest, and manifests that name them."""

    training_image: pulumi.Input[str]
    training_job: pulumi.Input[Mapping[str, Any]]
    """A RayJob manifest, ready for `kubectl create`."""

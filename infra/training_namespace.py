"""Where training jobs run in the cluster, with the login they need to record themselves."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from infra.identity import ServiceAccount

NAMESPACE = "training"
SERVICE_ACCOUNT = ServiceAccount(namespace=NAMESPACE, name="training")
LOGIN_SECRET = "mlflow-login"  # noqa: S105  the name of a Secret


@dataclass(frozen=True, kw_only=True)
class TrainingNamespaceArgs:
    """Inputs of `TrainingNamespace`; the secret in Secrets Manager holds `username` and `password` as JSON."""

    tracking_secret_arn: pulumi.Input[str]
    role_arn: pulumi.Input[str]
    """What jobs may do in AWS."""


class TrainingNamespace(pulumi.ComponentResource):
    """A namespace for training jobs: the account they run under, and the Secret with the tracking server's login."""

    namespace: pulumi.Output[str]
    service_account: pulumi.Output[str]
    login_secret: pulumi.Output[str]

    def __init__(self, name: str, args: TrainingNamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:training:TrainingNamespace", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        namespace = kubernetes.core.v1.Namespace(f"{name}-namespace", metadata={"name": NAMESPACE}, opts=child)
        stored = aws.secretsmanager.get_secret_version_output(
            secret_id=args.tracking_secret_arn, opts=pulumi.InvokeOutputOptions(parent=self)
        )
        login = pulumi.Output.json_loads(pulumi.Output.secret(stored.secret_string))
        secret = kubernetes.core.v1.Secret(
            f"{name}-login",
            metadata={"name": LOGIN_SECRET, "namespace": namespace.metadata.name},
            string_data={"username": login["username"], "password": login["password"]},
            opts=child,
        )
        account = kubernetes.core.v1.ServiceAccount(
            f"{name}-account",
            metadata={
                "name": SERVICE_ACCOUNT.name,
                "namespace": namespace.metadata.name,
                "annotations": {"eks.amazonaws.com/role-arn": args.role_arn},
            },
            opts=child,
        )
        self.namespace = namespace.metadata.name
        self.service_account = account.metadata.name
        self.login_secret = secret.metadata.name
        self.register_outputs({"namespace": self.namespace})

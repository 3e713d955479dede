"""The namespace of training jobs, with the login by which they record themselves."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from infra.cluster.namespaces import IngressRule, Namespace, NamespaceArgs, Peer
from infra.cluster.ready import ClusterReady
from infra.cluster.rights import grant
from infra.data.external_secret import ExternalSecret, ExternalSecretArgs
from infra.identity.identity import ServiceAccount
from infra.services import ray
from infra.services.training_job import METRICS_PORT

NAMESPACE = "training"
SERVICE_ACCOUNT = ServiceAccount(namespace=NAMESPACE, name="training")
_DASHBOARD_PORT = 8265
_METRICS_PORTS = (8080, METRICS_PORT)
"""Ports of the metrics of Ray and of the run."""


@dataclass(frozen=True, kw_only=True)
class TrainingNamespaceArgs:
    """Inputs of `TrainingNamespace`; the secret in Secrets Manager holds `username` and `password` as JSON."""

    tracking_secret_arn: pulumi.Input[str]
    role_arn: pulumi.Input[str]
    """ARN of the role that jobs have in AWS."""
    max_gpus: int
    """Number of GPUs that all jobs together may ask for."""
    cluster: ClusterReady


class TrainingNamespace(pulumi.ComponentResource):
    """A namespace for training jobs: the account they run under, and the Secret with the tracking server's login."""

    namespace: pulumi.Output[str]
    service_account: pulumi.Output[str]
    login_secret: str

    def __init__(self, name: str, args: TrainingNamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:training:TrainingNamespace", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        namespace = Namespace(
            f"{name}-namespace",
            NamespaceArgs(
                name=NAMESPACE,
                pod_security="restricted",
                quota={"requests.nvidia.com/gpu": str(args.max_gpus)},
                admits=(
                    # KubeRay asks a cluster's head how its job goes.
                    IngressRule(name="operator", peers=(Peer(namespace=ray.NAMESPACE),), ports=(_DASHBOARD_PORT,)),
                    IngressRule(name="metrics", peers=(Peer(namespace="monitoring"),), ports=_METRICS_PORTS),
                ),
                needs=args.cluster.base,
            ),
            child,
        )
        login = ExternalSecret(
            f"{name}-login",
            ExternalSecretArgs(
                name="mlflow-login",
                namespace=namespace.name,
                keys={key: (args.tracking_secret_arn, key) for key in ("username", "password")},
                needs=[*args.cluster.secrets, *namespace.ready],
            ),
            child,
        )
        self._operator_rights(name, namespace.name, child)
        account = kubernetes.core.v1.ServiceAccount(
            f"{name}-account",
            metadata={
                "name": SERVICE_ACCOUNT.name,
                "namespace": namespace.name,
                "annotations": {"eks.amazonaws.com/role-arn": args.role_arn},
            },
            opts=child,
        )
        self.namespace = namespace.name
        self.service_account = account.metadata.apply(lambda metadata: str(metadata.name))
        self.login_secret = login.secret_name
        self.register_outputs({"namespace": self.namespace})

    @staticmethod
    def _operator_rights(name: str, namespace: pulumi.Input[str], child: pulumi.ResourceOptions) -> None:
        """Give Ray's operator its rights here: it makes each cluster's token, and shows it when it asks how a job goes.

        It watches Secrets and claims, or does not begin (KubeRay 1.7), and so sees the namespace's other Secrets, which
        any pod that it starts here could. It is there before the namespace, and asks again until it may.
        """
        look = ["get", "list", "watch"]
        grant(
            f"{name}-operator",
            name="ray-operator",
            namespace=namespace,
            rules=[
                {"api_groups": [""], "resources": ["secrets"], "verbs": ["create", *look]},
                {"api_groups": [""], "resources": ["persistentvolumeclaims"], "verbs": look},
            ],
            accounts=(ray.ACCOUNT,),
            opts=child,
        )

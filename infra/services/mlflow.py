"""MLflow in the cluster: tracking server and model registry behind a login."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.apiextensions import CustomResource

from infra import helm
from infra.cluster.namespaces import IngressRule, Namespace, NamespaceArgs, Peer
from infra.cluster.ready import ClusterReady
from infra.data.external_secret import ExternalSecret, ExternalSecretArgs
from infra.data.image import Image
from infra.data.secrets import StoredSecret, StoredSecretArgs, generated_password
from infra.environment import Environment
from infra.facts import charts
from infra.identity.identity import ServiceAccount
from infra.network.ingress import Backend
from infra.servers.mlflow import ADMIN
from infra.services.mlflow_accounts import accounts_job
from infra.services.mlflow_values import mlflow_values
from infra.settings.service_settings import MlflowSettings

NAMESPACE = "mlflow"
SERVICE_ACCOUNT = ServiceAccount(namespace=NAMESPACE, name="mlflow")
SERVICE_URL = f"http://mlflow.{NAMESPACE}.svc.cluster.local"
SERVICE_PORT = 80
CONTAINER_PORT = 5000
WORKLOADS = "workloads"
MONITORING = "monitoring"
PROMOTER = "promoter"
OWN_ACCOUNTS = {WORKLOADS: "EDIT", MONITORING: "READ", PROMOTER: "PROMOTE"}
"""Permission of each account of the platform's own: jobs and pipelines, what collects metrics, who moves aliases."""
GRACE_S = 300
"""Seconds in which a server may finish uploads that pass through it before it is stopped."""
_LABELS = {"app.kubernetes.io/name": "mlflow", "app.kubernetes.io/instance": "mlflow"}


@dataclass(frozen=True, kw_only=True)
class MlflowArgs:
    """Inputs of `Mlflow`.

    Records are in the database of `database_secret_arn`, logins in that of `auth_secret_arn`; both exist once
    `databases` does. Artifacts go through the server to `bucket`, with the rights of `role_arn`. Pods of the namespaces
    in `clients` reach it, and people where the cluster has a domain, at `mlflow.<domain>`. `pod_hosts` matches the
    addresses of pods.
    """

    environment: Environment
    cluster: ClusterReady
    settings: MlflowSettings
    image: Image
    database_host: pulumi.Input[str]
    database_secret_arn: pulumi.Input[str]
    auth_secret_arn: pulumi.Input[str]
    password_generation: int
    databases: pulumi.Resource
    bucket: pulumi.Input[str]
    role_arn: pulumi.Input[str]
    clients: tuple[str, ...]
    pod_hosts: str


class Mlflow(pulumi.ComponentResource):
    """MLflow's release, namespace and accounts; reached inside the cluster at `url`."""

    url: str
    login_secret_arn: pulumi.Output[str]
    """ARN of the secret with the login of jobs and pipelines."""
    promoter_secret_arn: pulumi.Output[str]
    """ARN of the secret with the login that may move the aliases of models."""
    ready: list[pulumi.Resource]
    """Resources that must exist before anyone logs in."""
    backend: Backend

    def __init__(self, name: str, args: MlflowArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:services:Mlflow", name, None, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        clients = IngressRule(
            name="clients",
            peers=(*(Peer(namespace=one) for one in args.clients), *args.cluster.load_balancer),
            ports=(CONTAINER_PORT,),
        )
        namespace = Namespace(
            f"{name}-namespace",
            NamespaceArgs(
                name=NAMESPACE,
                pod_security="restricted",
                admits=(clients,),
                needs=args.cluster.base,
            ),
            self._child,
        )
        self._namespace = namespace

        permissions = {**args.settings.accounts, **OWN_ACCOUNTS}
        logins = {account: self._login(account) for account in (ADMIN, *permissions)}
        database = self._secret("database", args.database_secret_arn)
        auth = self._secret("auth-database", args.auth_secret_arn)
        admin = self._secret("admin", logins[ADMIN])
        monitoring = self._secret(MONITORING, logins[MONITORING])
        accounts = ExternalSecret(
            f"{name}-accounts",
            ExternalSecretArgs(
                name="mlflow-accounts",
                namespace=namespace.name,
                keys={account: (logins[account], "password") for account in permissions},
                needs=[*args.cluster.secrets, *namespace.ready],
            ),
            self._child,
        )
        flask_secret = generated_password(f"{name}-flask-secret", opts=self._child)
        release = helm.release(
            f"{name}-release",
            charts.MLFLOW,
            name="mlflow",
            namespace=namespace.name,
            values=mlflow_values(
                args.settings,
                image=args.image,
                region=args.environment.region,
                host=args.database_host,
                database=database.secret_name,
                auth=auth.secret_name,
                admin=admin.secret_name,
                flask_secret=flask_secret,
                bucket=args.bucket,
                role_arn=args.role_arn,
                account=SERVICE_ACCOUNT.name,
                names=("mlflow", f"mlflow.{NAMESPACE}", f"mlflow.{NAMESPACE}.svc.cluster.local"),
                pod_hosts=args.pod_hosts,
                domain=args.cluster.domain,
                labels=_LABELS,
            ),
            parent=self,
            needs=[args.databases, database.ready, auth.ready, admin.ready, *namespace.ready],
        )
        self._supporting_resources(release, monitoring)
        job = accounts_job(
            f"{name}-accounts-job",
            namespace=namespace.name,
            url=SERVICE_URL,
            image=args.image,
            permissions=permissions,
            passwords=accounts,
            admin=admin,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[release, accounts.ready]),
        )

        self.url = SERVICE_URL
        self.login_secret_arn = logins[WORKLOADS]
        self.promoter_secret_arn = logins[PROMOTER]
        self.ready = [release, job]
        self.backend = Backend(
            host="mlflow",
            namespace=NAMESPACE,
            service="mlflow",
            port=SERVICE_PORT,
            health_path="/health",
            needs=[release],
        )
        self.register_outputs({"url": self.url, "login_secret_arn": self.login_secret_arn})

    def _login(self, account: str) -> pulumi.Output[str]:
        login = f"{self._name}-{account.replace('.', '-').replace('_', '-')}"
        password = generated_password(f"{login}-password", opts=self._child)
        args = StoredSecretArgs(environment=self._args.environment, value={"username": account, "password": password})
        return StoredSecret(f"{login}-login", args, self._child).arn

    def _secret(self, role: str, arn: pulumi.Input[str]) -> ExternalSecret:
        from_database = "database" in role
        return ExternalSecret(
            f"{self._name}-{role}",
            ExternalSecretArgs(
                name=f"mlflow-{role}",
                namespace=self._namespace.name,
                keys={key: (arn, key) for key in ("username", "password")},
                generation=self._args.password_generation if from_database else 1,
                needs=[*self._args.cluster.secrets, *self._namespace.ready],
            ),
            self._child,
        )

    def _supporting_resources(self, release: pulumi.Resource, monitoring: ExternalSecret) -> None:
        """Create what the chart has no values for."""
        after = pulumi.ResourceOptions(parent=self, depends_on=[release])
        kubernetes.apps.v1.DeploymentPatch(
            f"{self._name}-grace",
            # Helm's create owns the field's default; without force the API server refuses the patch as a conflict.
            metadata={"name": "mlflow", "namespace": self._namespace.name, "annotations": helm.PATCH_FORCE},
            spec={"template": {"spec": {"termination_grace_period_seconds": GRACE_S}}},
            opts=after,
        )
        if self._args.settings.min_replicas > 1:
            kubernetes.policy.v1.PodDisruptionBudget(
                f"{self._name}-disruption",
                metadata={"name": "mlflow", "namespace": self._namespace.name},
                spec={"min_available": 1, "selector": {"match_labels": _LABELS}},
                opts=after,
            )
        CustomResource(
            f"{self._name}-metrics",
            api_version="monitoring.coreos.com/v1",
            kind="ServiceMonitor",
            metadata={"name": "mlflow", "namespace": self._namespace.name},
            spec={
                "selector": {"matchLabels": _LABELS},
                "endpoints": [
                    {
                        "port": "http",
                        "path": "/metrics",
                        # The chart's own monitor has no login, and the server answers nobody without one.
                        "basicAuth": {
                            key: {"name": monitoring.secret_name, "key": key} for key in ("username", "password")
                        },
                    }
                ],
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[release, monitoring.ready]),
        )

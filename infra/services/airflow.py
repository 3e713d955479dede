"""Airflow in the cluster: pipelines, each task of which runs in a pod of its own."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random
from pulumi_kubernetes.apiextensions import CustomResource

from infra import helm
from infra.cluster.namespaces import IngressRule, Namespace, NamespaceArgs, Peer
from infra.cluster.ready import ClusterReady
from infra.cluster.rights import grant
from infra.data.external_secret import ExternalSecret, ExternalSecretArgs
from infra.data.image import Image
from infra.data.secrets import StoredSecret, StoredSecretArgs, generated_password
from infra.environment import Environment
from infra.facts import charts
from infra.identity.identity import ServiceAccount
from infra.network.ingress import Backend
from infra.servers import airflow as server
from infra.services.airflow_setup import setup_job
from infra.services.airflow_values import WORKLOADS, airflow_values
from infra.settings.service_settings import AirflowSettings

NAMESPACE = "airflow"
WORKER = ServiceAccount(namespace=NAMESPACE, name="airflow-worker")
SCHEDULER = ServiceAccount(namespace=NAMESPACE, name="airflow-scheduler")
TRIGGERER = ServiceAccount(namespace=NAMESPACE, name="airflow-triggerer")
API_SERVER = ServiceAccount(namespace=NAMESPACE, name="airflow-api-server")
SERVICE = "airflow-api-server"
SERVICE_PORT = 8080
HEALTH_PATH = "/api/v2/monitor/health"
LOG_FOLDER = "airflow"
"""Folder of task logs in the log bucket."""
_QUOTA = {"requests.cpu": "6", "requests.memory": "24Gi", "pods": "60"}
_METRICS_PORT = 9102


@dataclass(frozen=True, kw_only=True)
class AirflowArgs:
    """Inputs of `Airflow`.

    Its records are in the database of `database_secret_arn`, which exists once `databases` does. Task logs go to
    `log_bucket`: workers and the triggerer write them, the API server shows them. Pipelines find `variables` among
    Airflow's own and MLflow as connection `mlflow`, and submit jobs in `training_namespace`. People reach it where the
    cluster has a domain, at `airflow.<domain>`.
    """

    environment: Environment
    cluster: ClusterReady
    settings: AirflowSettings
    image: Image
    database_secret_arn: pulumi.Input[str]
    password_generation: int
    databases: pulumi.Resource
    role_arns: Mapping[str, pulumi.Input[str]]
    """ARN of the role of each of `worker`, `triggerer` and `api_server`."""
    log_bucket: pulumi.Input[str]
    tracking_url: str
    tracking_secret_arn: pulumi.Input[str]
    variables: Mapping[str, pulumi.Input[str]]
    training_namespace: pulumi.Input[str]


class Airflow(pulumi.ComponentResource):
    """Airflow's release, namespace, first administrator and right to submit training jobs."""

    url: str
    login_secret_arn: pulumi.Output[str]
    """ARN of the secret with the administrator's login."""
    workloads_uid: pulumi.Output[str]
    """UID of the ConfigMap that the workloads stack fills."""
    ready: list[pulumi.Resource]
    backend: Backend

    def __init__(self, name: str, args: AirflowArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:services:Airflow", name, None, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        monitoring = IngressRule(name="metrics", peers=(Peer(namespace="monitoring"),), ports=(_METRICS_PORT,))
        people = IngressRule(
            name="people", peers=args.cluster.load_balancer, ports=(SERVICE_PORT,), pods={"component": "api-server"}
        )
        self._namespace = Namespace(
            f"{name}-namespace",
            NamespaceArgs(
                name=NAMESPACE,
                pod_security="restricted",
                quota=_QUOTA,
                admits=(monitoring, people),
                needs=args.cluster.base,
            ),
            self._child,
        )

        password = generated_password(f"{name}-admin-password", generation=args.password_generation, opts=self._child)
        login = self._stored("login", {"username": "admin", "password": password})
        database = dict.fromkeys(("username", "password", "host", "port", "dbname"), args.database_secret_arn)
        keys = dict.fromkeys(("fernet-key", "jwt-secret", "api-secret-key"), self._stored("keys", self._keys()))
        secret = self._secret(
            "airflow",
            {**database, **keys},
            template=server.connections(
                user="{{ .username }}",
                password="{{ .password }}",  # noqa: S106  a template's placeholder
                host="{{ .host }}",
                port="{{ .port }}",
                database="{{ .dbname }}",
            ),
            generation=args.password_generation,
        )
        account = {"login": "{{ .username }}", "password": "{{ .password }}"}
        tracking = self._secret(
            "airflow-tracking",
            dict.fromkeys(("username", "password"), args.tracking_secret_arn),
            template={"connection": json.dumps({"conn_type": "http", "host": args.tracking_url, **account})},
        )
        admin = self._secret(
            "airflow-admin", dict.fromkeys(("username", "password"), login), generation=args.password_generation
        )

        setup = setup_job(
            f"{name}-setup",
            namespace=self._namespace.name,
            image=args.image,
            secret=secret.secret_name,
            admin_secret=admin.secret_name,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[args.databases, secret.ready, admin.ready]),
        )
        executor = self._rights()
        workloads = kubernetes.core.v1.ConfigMap(
            f"{name}-workloads",
            metadata={"name": WORKLOADS, "namespace": self._namespace.name},
            opts=self._child,
        )
        release = helm.release(
            f"{name}-release",
            charts.AIRFLOW,
            name="airflow",
            namespace=self._namespace.name,
            values=airflow_values(
                settings=args.settings,
                region=args.environment.region,
                image=args.image,
                role_arns=args.role_arns,
                log_folder=pulumi.Output.format("s3://{0}/{1}", args.log_bucket, LOG_FOLDER),
                domain=args.cluster.domain,
                variables={**args.variables, "training_namespace": args.training_namespace},
                secret=secret.secret_name,
                tracking_secret=tracking.secret_name,
            ),
            parent=self,
            needs=[setup, tracking.ready, workloads, executor, *self._namespace.ready],
        )
        CustomResource(
            f"{name}-metrics",
            api_version="monitoring.coreos.com/v1",
            kind="ServiceMonitor",
            metadata={"name": "airflow", "namespace": self._namespace.name},
            spec={
                "selector": {"matchLabels": {"release": "airflow", "component": "statsd"}},
                "endpoints": [{"port": "statsd-scrape"}],
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[release]),
        )

        self.url = f"http://{SERVICE}.{NAMESPACE}.svc.cluster.local:{SERVICE_PORT}"
        self.login_secret_arn = login
        self.workloads_uid = workloads.metadata.apply(lambda metadata: str(metadata.uid))
        self.ready = [release]
        self.backend = Backend(
            host="airflow",
            namespace=NAMESPACE,
            service=SERVICE,
            port=SERVICE_PORT,
            health_path=HEALTH_PATH,
            needs=[release],
        )
        self.register_outputs({"url": self.url, "login_secret_arn": self.login_secret_arn})

    def _keys(self) -> dict[str, pulumi.Input[str]]:
        """Generate the keys that every process must agree on; once, since records are encrypted with the first."""

        def made(key: str) -> pulumi.Output[str]:
            # Tokens are signed with HS512, which wants 64 bytes.
            return random.RandomPassword(f"{self._name}-{key}", length=64, special=False, opts=self._child).result

        return {
            "fernet-key": made("fernet-key").apply(fernet_key),
            "jwt-secret": made("jwt-secret"),
            "api-secret-key": made("api-secret-key"),
        }

    def _stored(self, role: str, value: Mapping[str, pulumi.Input[str]]) -> pulumi.Output[str]:
        args = StoredSecretArgs(environment=self._args.environment, value=value)
        return StoredSecret(f"{self._name}-{role}", args, self._child).arn

    def _secret(
        self,
        name: str,
        arns: Mapping[str, pulumi.Input[str]],
        *,
        template: Mapping[str, str] | None = None,
        generation: int = 1,
    ) -> ExternalSecret:
        return ExternalSecret(
            f"{self._name}-secret-{name}",
            ExternalSecretArgs(
                name=name,
                namespace=self._namespace.name,
                keys={key: (arn, key) for key, arn in arns.items()},
                template=template,
                generation=generation,
                needs=[*self._args.cluster.secrets, *self._namespace.ready],
            ),
            self._child,
        )

    def _rights(self) -> pulumi.Resource:
        """Grant what the executor and tasks need, and return the former, which must exist before the scheduler.

        Tasks, and the triggerer, which waits for them, submit, watch and delete training jobs. The chart's own role
        would let both start pods, and enter those that run, in the namespace of Airflow's secrets.
        """
        read_verbs = ["get", "list", "watch"]
        grant(
            f"{self._name}-training",
            name="airflow-training",
            namespace=self._args.training_namespace,
            rules=[
                {"api_groups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create", "delete", *read_verbs]},
                {"api_groups": [""], "resources": ["events", "pods", "pods/log"], "verbs": read_verbs},
            ],
            accounts=(WORKER, TRIGGERER),
            opts=self._child,
        )
        return grant(
            f"{self._name}-executor",
            name="airflow-executor",
            namespace=self._namespace.name,
            rules=[{"api_groups": [""], "resources": ["pods"], "verbs": ["create", "delete", "patch", *read_verbs]}],
            accounts=(SCHEDULER,),
            opts=self._child,
        )


def fernet_key(secret: str) -> str:
    """Return the key that a secret of at least 32 random bytes stands for: 32 bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()).decode()

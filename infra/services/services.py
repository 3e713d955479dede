"""Everything that runs in the cluster, in the order of dependence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import pulumi

from infra.cluster import training_namespace
from infra.cluster.addons import default_storage_class
from infra.cluster.namespaces import Peer
from infra.cluster.ready import ClusterReady
from infra.cluster.training_namespace import TrainingNamespace, TrainingNamespaceArgs
from infra.controllers.controllers import Controllers, ControllersArgs
from infra.data.database import Database
from infra.data.database_bootstrap import DatabaseBootstrap, DatabaseBootstrapArgs
from infra.data.image import Image, ImageArgs
from infra.data.stores import Stores
from infra.environment import Environment
from infra.network.addresses import host_pattern, subnet_layout
from infra.network.edge import Edge
from infra.network.ingress import Backend, Ingress, IngressArgs
from infra.services import airflow, monitoring
from infra.services.airflow import Airflow, AirflowArgs
from infra.services.mlflow import Mlflow, MlflowArgs
from infra.services.monitoring import Monitoring, MonitoringArgs
from infra.services.ray import RayOperator, RayOperatorArgs
from infra.settings.service_settings import ServicesSettings
from infra.settings.settings import NodePoolSettings

_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class ServicesArgs:
    """Inputs of `Services`.

    `role_arns` are the service accounts' roles, by the names that the program gives them. With `edge` people reach the
    services at names below its domain. `nodes` must be there before anything runs.
    """

    environment: Environment
    settings: ServicesSettings
    vpc_id: pulumi.Input[str]
    network_cidr: IPv4Network
    kubernetes_version: str
    node_pools: Mapping[str, NodePoolSettings]
    training_gpus: int
    scaling_groups: Mapping[str, pulumi.Input[str]]
    nodes: Sequence[pulumi.Resource]
    role_arns: Mapping[str, pulumi.Input[str]]
    stores: Stores
    database: Database
    repository_urls: Mapping[str, pulumi.Input[str]]
    alert_topic_arn: pulumi.Input[str]
    edge: Edge | None


class Services(pulumi.ComponentResource):
    """Controllers, tracking server, Ray's operator, pipelines, monitoring, and their ingresses.

    `opts.providers` are AWS's and the cluster's.
    """

    urls: dict[str, str]
    """URL of each service inside the cluster, by the service's name."""
    public_urls: dict[str, str]
    """URL of each service from outside, by its name below the domain; empty without an entrance."""
    tracking: Mlflow
    training: TrainingNamespace
    pipelines_config_map_uid: pulumi.Input[str]
    """UID of the ConfigMap by which pipelines learn of the workloads; empty where Airflow is off."""

    def __init__(self, name: str, args: ServicesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:services:Services", name, None, opts)
        self._args, self._child = args, pulumi.ResourceOptions(parent=self)
        public = subnet_layout(args.network_cidr).public if args.edge else ()
        self._storage = default_storage_class("default-storage", needs=args.nodes, opts=self._child)
        self._controllers = self._make_controllers()
        self._cluster = ClusterReady(
            base=self._controllers.base,
            secrets=self._controllers.secrets,
            domain=args.edge.domain if args.edge else None,
            load_balancer=tuple(Peer(cidr=block) for block in public),
        )
        self._databases = DatabaseBootstrap(
            "databases",
            DatabaseBootstrapArgs(
                host=args.database.host,
                admin_secret_arn=args.database.secret_arn,
                owner_secret_arns=args.database.owner_secret_arns,
                password_generation=args.database.password_generation,
                cluster=self._cluster,
            ),
            self._child,
        )
        self.tracking = self._make_tracking()
        operator = RayOperator(
            "ray", RayOperatorArgs(watched=(training_namespace.NAMESPACE,), cluster=self._cluster), self._child
        )
        self.training = TrainingNamespace(
            "training",
            TrainingNamespaceArgs(
                tracking_secret_arn=self.tracking.login_secret_arn,
                role_arn=args.role_arns["training"],
                max_gpus=args.training_gpus,
                # Ray's objects carry a finalizer of the operator, without which the namespace would never go.
                cluster=self._cluster.after(operator.ready),
            ),
            self._child,
        )
        services: dict[str, Mlflow | Airflow | Monitoring] = {"mlflow": self.tracking}
        self.pipelines_config_map_uid = ""
        if args.settings.airflow.enabled:
            pipelines = services["airflow"] = self._make_pipelines()
            self.pipelines_config_map_uid = pipelines.workloads_uid
        if args.settings.monitoring.enabled:
            services["grafana"] = self._make_monitoring()
        self.urls = {key: service.url for key, service in services.items()}
        self.public_urls = self._ingresses([service.backend for service in services.values()])
        self.register_outputs({"urls": self.urls, "public_urls": self.public_urls})

    def _make_controllers(self) -> Controllers:
        args = self._args
        return Controllers(
            "controllers",
            ControllersArgs(
                environment=args.environment,
                kubernetes_version=args.kubernetes_version,
                vpc_id=args.vpc_id,
                pools=args.node_pools,
                scaling_groups=args.scaling_groups,
                replicas=args.settings.controller_replicas,
                load_balancer_role_arn=args.role_arns["load-balancer-controller"],
                autoscaler_role_arn=args.role_arns["cluster-autoscaler"],
                secrets_role_arn=args.role_arns["external-secrets"],
                webhook_callers=(Peer(cidr=args.network_cidr),),
                needs=args.nodes,
            ),
            self._child,
        )

    def _make_tracking(self) -> Mlflow:
        args = self._args
        pipelines = (airflow.NAMESPACE,) if args.settings.airflow.enabled else ()
        return Mlflow(
            "mlflow",
            MlflowArgs(
                environment=args.environment,
                cluster=self._cluster,
                settings=args.settings.mlflow,
                image=self._image("mlflow"),
                database_host=args.database.host,
                database_secret_arn=args.database.owner_secret_arns["mlflow"],
                auth_secret_arn=args.database.owner_secret_arns["mlflow_auth"],
                password_generation=args.database.password_generation,
                databases=self._databases.done,
                bucket=args.stores.artifacts.bucket_name,
                role_arn=args.role_arns["mlflow"],
                clients=(training_namespace.NAMESPACE, *pipelines, monitoring.NAMESPACE),
                pod_hosts=host_pattern(args.network_cidr),
            ),
            self._child,
        )

    def _make_pipelines(self) -> Airflow:
        args = self._args
        return Airflow(
            "airflow",
            AirflowArgs(
                environment=args.environment,
                cluster=self._cluster,
                settings=args.settings.airflow,
                image=self._image("airflow"),
                database_secret_arn=args.database.owner_secret_arns["airflow"],
                password_generation=args.database.password_generation,
                databases=self._databases.done,
                role_arns={
                    "worker": args.role_arns["airflow-worker"],
                    "triggerer": args.role_arns["airflow-triggerer"],
                    "api_server": args.role_arns["airflow-api-server"],
                },
                log_bucket=args.stores.logs.bucket_name,
                tracking_url=self.tracking.url,
                tracking_secret_arn=self.tracking.login_secret_arn,
                variables={
                    "artifact_bucket": args.stores.artifacts.bucket_name,
                    "dataset_bucket": args.stores.datasets.bucket_name,
                },
                training_namespace=self.training.namespace,
            ),
            self._child,
        )

    def _make_monitoring(self) -> Monitoring:
        args = self._args
        return Monitoring(
            "monitoring",
            MonitoringArgs(
                environment=args.environment,
                cluster=self._cluster.after(self._storage),
                settings=args.settings.monitoring,
                alert_topic_arn=args.alert_topic_arn,
                alertmanager_role_arn=args.role_arns["alertmanager"],
                grafana_role_arn=args.role_arns["grafana"],
                training_namespace=training_namespace.NAMESPACE,
                airflow=args.settings.airflow.enabled,
            ),
            self._child,
        )

    def _image(self, name: str) -> Image:
        url, dockerfile = self._args.repository_urls[name], f"images/{name}/Dockerfile"
        args = ImageArgs(repository_url=url, context=_REPOSITORY, dockerfile=dockerfile)
        return Image(f"{name}-image", args, self._child)

    def _ingresses(self, backends: Sequence[Backend]) -> dict[str, str]:
        args = self._args
        if args.edge is None:
            return {}
        ingresses = {
            backend.host: Ingress(
                f"way-in-{backend.host}",
                IngressArgs(
                    environment=args.environment,
                    backend=backend,
                    domain=args.edge.domain,
                    zone_id=args.edge.zone_id,
                    edge=args.edge.outputs(),
                    controller=self._controllers.load_balancers,
                    oidc=args.edge.oidc,
                    secrets=self._controllers.secrets,
                ),
                self._child,
            )
            for backend in backends
        }
        return {host: ingress.url for host, ingress in ingresses.items()}

"""Platform stack: the network, cluster, stores and services that every workload shares."""

import pulumi

from infra.budget import Budget, BudgetArgs
from infra.cluster import training_namespace
from infra.cluster.addons import ClusterAddons, ClusterAddonsArgs
from infra.cluster.cluster import Cluster, ClusterArgs
from infra.cluster.node_pools import NodePools, NodePoolsArgs
from infra.contracts import PlatformOutputs
from infra.controllers.access import autoscaler_access, load_balancer_access
from infra.controllers.controllers import (
    AUTOSCALER_ACCOUNT,
    LOAD_BALANCER_ACCOUNT,
    SECRETS_ACCOUNT,
)
from infra.data.database import Database, DatabaseArgs
from infra.data.registry import ImageRegistry, ImageRegistryArgs
from infra.data.secrets import secrets_access
from infra.data.stores import Stores, StoresArgs
from infra.deletion_guard import deletion_guard
from infra.environment import Environment
from infra.identity.identity import WorkloadIdentity, WorkloadIdentityArgs
from infra.network.edge import Edge, EdgeArgs
from infra.network.network import Network, NetworkArgs
from infra.provider import aws_place, aws_provider
from infra.services import airflow, metrics, mlflow, monitoring
from infra.services.alert_routing import publish_access
from infra.services.services import Services, ServicesArgs
from infra.settings.settings import PlatformSettings

settings = PlatformSettings.load()
pipelines = settings.services.airflow.enabled
provider = aws_provider(
    region=settings.region,
    environment=settings.environment,
    deploy_role_arn=settings.deploy_role_arn,
    emulator=settings.aws.endpoint,
)
on_aws = pulumi.ResourceOptions(provider=provider)
place = aws_place(provider)
environment = Environment(
    name=settings.environment,
    region=settings.region,
    partition=place.partition,
    account=place.account,
    deletable=not settings.protect_data,
    permissions_boundary=settings.permissions_boundary_arn,
    emulated=settings.aws.endpoint is not None,
)

stores = Stores("stores", StoresArgs(environment=environment, settings=settings.storage), on_aws)
network = Network(
    "network",
    NetworkArgs(
        environment=environment,
        zones=settings.zones,
        settings=settings.network,
        flow_log_bucket_arn=stores.logs.bucket_arn if settings.network.flow_logs else None,
    ),
    on_aws,
)
cluster = Cluster(
    "cluster",
    ClusterArgs(
        environment=environment,
        vpc_id=network.vpc_id,
        private_subnet_ids=list(network.private_subnet_ids.values()),
        public_subnet_ids=network.public_subnet_ids,
        settings=settings.cluster,
        log_retention_days=settings.log_group_retention_days,
        deploy_role_arn=settings.deploy_role_arn,
    ),
    on_aws,
)
nodes = NodePools(
    "nodes",
    NodePoolsArgs(
        environment=environment,
        cluster_name=cluster.name,
        kubernetes_version=settings.cluster.kubernetes_version,
        subnet_ids=network.private_subnet_ids,
        egress=network.egress,
        pools=settings.node_pools,
    ),
    on_aws,
)
addons = ClusterAddons(
    "addons",
    ClusterAddonsArgs(
        environment=environment,
        cluster_name=cluster.name,
        kubernetes_version=settings.cluster.kubernetes_version,
        issuer=cluster.issuer,
        node_groups=nodes.always_there,
    ),
    on_aws,
)
budget = Budget("budget", BudgetArgs(environment=environment, settings=settings.budget), on_aws)
database = Database(
    "database",
    DatabaseArgs(
        environment=environment,
        vpc_id=network.vpc_id,
        subnet_ids=network.isolated_subnet_ids,
        client_security_group_id=cluster.security_group_id,
        owners=("mlflow", "mlflow_auth", *(("airflow",) if pipelines else ())),
        settings=settings.database,
        log_retention_days=settings.log_group_retention_days,
        alarm_topic_arn=budget.topic_arn,
    ),
    on_aws,
)
registry = ImageRegistry(
    "images",
    ImageRegistryArgs(environment=environment, images=(*(("airflow",) if pipelines else ()), "mlflow", "training")),
    on_aws,
)
edge = None
if settings.edge.enabled:
    edge = Edge(
        "edge",
        EdgeArgs(vpc_id=network.vpc_id, network_cidr=settings.network.cidr, settings=settings.edge),
        on_aws,
    )

service_accounts = {
    "mlflow": (mlflow.SERVICE_ACCOUNT, stores.artifacts.write_access("mlflow/")),
    "training": (
        training_namespace.SERVICE_ACCOUNT,
        (
            *stores.datasets.read_access(),
            *stores.artifacts.write_access("checkpoints/"),
        ),
    ),
    "load-balancer-controller": (LOAD_BALANCER_ACCOUNT, load_balancer_access(environment)),
    "cluster-autoscaler": (AUTOSCALER_ACCOUNT, autoscaler_access(environment)),
    "external-secrets": (SECRETS_ACCOUNT, secrets_access(environment)),
}
if settings.services.monitoring.enabled:
    service_accounts |= {
        "alertmanager": (monitoring.ALERTMANAGER_ACCOUNT, publish_access(budget.topic_arn)),
        "grafana": (monitoring.GRAFANA_ACCOUNT, metrics.cloudwatch_access(settings.region)),
    }
if pipelines:
    service_accounts |= {
        "airflow-worker": (
            airflow.WORKER,
            (*stores.logs.write_access("airflow/"), *stores.datasets.write_access()),
        ),
        "airflow-triggerer": (airflow.TRIGGERER, stores.logs.write_access("airflow/")),
        "airflow-api-server": (airflow.API_SERVER, stores.logs.read_access("airflow/")),
    }
identities = {
    name: WorkloadIdentity(
        f"{name}-identity",
        WorkloadIdentityArgs(environment=environment, issuer=cluster.issuer, account=account, allow=allow),
        on_aws,
    )
    for name, (account, allow) in service_accounts.items()
}

services = None
if settings.services.enabled:
    services = Services(
        "services",
        ServicesArgs(
            environment=environment,
            settings=settings.services,
            vpc_id=network.vpc_id,
            network_cidr=settings.network.cidr,
            kubernetes_version=settings.cluster.kubernetes_version,
            node_pools=settings.node_pools,
            training_gpus=settings.training_gpus,
            scaling_groups=nodes.scaling_groups,
            nodes=addons.all,
            role_arns={name: identity.role_arn for name, identity in identities.items()},
            stores=stores,
            database=database,
            repository_urls=registry.repository_urls,
            alert_topic_arn=budget.topic_arn,
            edge=edge,
        ),
        pulumi.ResourceOptions(providers=[provider, cluster.kubernetes]),
    )

everything = [stores, network, cluster, nodes, addons, budget, database, registry, *identities.values()]
deletion_guard("guard", protect=settings.protect_data, guarded=[*everything, *filter(None, (edge, services))])

PlatformOutputs(
    region=settings.region,
    vpc_id=network.vpc_id,
    cluster_name=cluster.name,
    kubeconfig=cluster.kubeconfig,
    artifact_bucket=stores.artifacts.bucket_name,
    dataset_bucket=stores.datasets.bucket_name,
    log_bucket=stores.logs.bucket_name,
    database_host=database.host,
    database_secret_arn=database.secret_arn,
    database_owner_secret_arns=database.owner_secret_arns,
    repository_urls=registry.repository_urls,
    training_namespace=services.training.namespace if services else "",
    training_service_account=services.training.service_account if services else "",
    training_login_secret=services.training.login_secret if services else "",
    max_training_gpus=settings.training_gpus if services else 0,
    pipelines_config_map_uid=services.pipelines_config_map_uid if services else "",
    promoter_secret_arn=services.tracking.promoter_secret_arn if services else "",
    alert_topic_arn=budget.topic_arn,
    service_urls=services.urls if services else {},
    public_urls=services.public_urls if services else {},
).export()

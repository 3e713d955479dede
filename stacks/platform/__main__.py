"""Platform stack: the network, cluster, stores and services that every workload shares."""

from pathlib import Path

import pulumi

from infra import training_namespace
from infra.addons import ClusterAddons, ClusterAddonsArgs, default_storage_class
from infra.addresses import host_pattern, subnet_layout
from infra.budget import Budget, BudgetArgs
from infra.cluster import Cluster, ClusterArgs
from infra.contracts import PlatformOutputs
from infra.controllers.access import autoscaler_access, load_balancer_access
from infra.controllers.controllers import (
    AUTOSCALER_ACCOUNT,
    LOAD_BALANCER_ACCOUNT,
    SECRETS_ACCOUNT,
    Controllers,
    ControllersArgs,
)
from infra.database import Database, DatabaseArgs
from infra.database_bootstrap import DatabaseBootstrap, DatabaseBootstrapArgs
from infra.edge import Edge, EdgeArgs
from infra.identity import RoleDefaults, WorkloadIdentity, WorkloadIdentityArgs
from infra.image import Image, ImageArgs
from infra.ingress import Ingress, IngressArgs
from infra.namespaces import Peer
from infra.naming import cluster_name, role_path
from infra.network import Network, NetworkArgs
from infra.node_pools import NodePools, NodePoolsArgs
from infra.provider import aws_place, aws_provider
from infra.registry import ImageRegistry, ImageRegistryArgs
from infra.secrets import secrets_access
from infra.services import airflow, mlflow, monitoring
from infra.services.alert_routing import publish_access
from infra.services.ray import RayOperator, RayOperatorArgs
from infra.settings import PlatformSettings
from infra.storage import Archive, ObjectStore, ObjectStoreArgs
from infra.training_namespace import TrainingNamespace, TrainingNamespaceArgs

REPOSITORY = Path(__file__).resolve().parents[2]

settings = PlatformSettings.load()
environment, deletable, kept = settings.environment, not settings.protect_data, settings.storage
provider = aws_provider(
    region=settings.region,
    environment=environment,
    deploy_role_arn=settings.deploy_role_arn,
    emulator=settings.aws.endpoint,
)
on_aws = pulumi.ResourceOptions(provider=provider)
place = aws_place(provider)
roles = RoleDefaults(
    partition=place.partition,
    path=role_path(environment),
    permissions_boundary=settings.permissions_boundary_arn,
)

artifacts = ObjectStore(
    "artifacts",
    ObjectStoreArgs(
        environment=environment,
        deletable=deletable,
        noncurrent_days=kept.noncurrent_days,
        # A registered model stays loadable at any age.
        archive=Archive(after_days=kept.archive_after_days, storage_class="GLACIER_IR"),
    ),
    on_aws,
)
datasets = ObjectStore(
    "datasets",
    ObjectStoreArgs(environment=environment, deletable=deletable, noncurrent_days=kept.noncurrent_days),
    on_aws,
)
logs = ObjectStore(
    "logs",
    ObjectStoreArgs(
        environment=environment,
        deletable=deletable,
        noncurrent_days=kept.noncurrent_days,
        archive=Archive(after_days=kept.archive_after_days, storage_class="DEEP_ARCHIVE"),
        expire_after_days=kept.log_retention_days,
        log_delivery_account=place.account,
    ),
    on_aws,
)
backups = ObjectStore(
    "backups",
    ObjectStoreArgs(
        environment=environment,
        deletable=deletable,
        noncurrent_days=kept.noncurrent_days,
        expire_after_days=kept.backup_retention_days,
    ),
    on_aws,
)

network = Network(
    "network",
    NetworkArgs(
        region=settings.region,
        cidr=settings.network.cidr,
        zones=settings.zones,
        nat_gateways=settings.network.nat_gateways,
        interface_endpoints=settings.network.interface_endpoints,
        flow_log_bucket_arn=logs.bucket_arn if settings.network.flow_logs else None,
        cluster_name=cluster_name(environment),
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
        deletable=deletable,
        deploy_role_arn=settings.deploy_role_arn,
        roles=roles,
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
        ways_out=network.ways_out,
        pools=settings.node_pools,
        roles=roles,
    ),
    on_aws,
)
addons = ClusterAddons(
    "addons",
    ClusterAddonsArgs(
        cluster_name=cluster.name,
        kubernetes_version=settings.cluster.kubernetes_version,
        issuer=cluster.issuer,
        node_groups=nodes.always_there,
        roles=roles,
    ),
    on_aws,
)
budget = Budget("budget", BudgetArgs(environment=environment, account=place.account, settings=settings.budget), on_aws)
database = Database(
    "database",
    DatabaseArgs(
        environment=environment,
        vpc_id=network.vpc_id,
        subnet_ids=network.isolated_subnet_ids,
        client_security_group_id=cluster.security_group_id,
        settings=settings.database,
        log_retention_days=settings.log_group_retention_days,
        alarm_topic_arn=budget.topic_arn,
        deletable=deletable,
        roles=roles,
    ),
    on_aws,
)
registry = ImageRegistry(
    "images",
    ImageRegistryArgs(environment=environment, images=("airflow", "mlflow", "training"), deletable=deletable),
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
    "mlflow": (mlflow.SERVICE_ACCOUNT, artifacts.write_access("mlflow/")),
    "training": (
        training_namespace.SERVICE_ACCOUNT,
        (*datasets.read_access(), *artifacts.write_access("checkpoints/")),
    ),
    "airflow-worker": (
        airflow.WORKER,
        (*logs.write_access("airflow/"), *datasets.write_access()),
    ),
    "airflow-triggerer": (airflow.TRIGGERER, logs.write_access("airflow/")),
    "airflow-api-server": (airflow.API_SERVER, logs.read_access("airflow/")),
    "alertmanager": (monitoring.ALERTMANAGER_ACCOUNT, publish_access(budget.topic_arn)),
    "load-balancer-controller": (
        LOAD_BALANCER_ACCOUNT,
        load_balancer_access(partition=place.partition, cluster_name=cluster_name(environment)),
    ),
    "cluster-autoscaler": (
        AUTOSCALER_ACCOUNT,
        autoscaler_access(cluster_name=cluster_name(environment)),
    ),
    "external-secrets": (
        SECRETS_ACCOUNT,
        secrets_access(
            partition=place.partition, region=settings.region, account=place.account, environment=environment
        ),
    ),
}
identities = {
    name: WorkloadIdentity(
        f"{name}-identity",
        WorkloadIdentityArgs(roles=roles, issuer=cluster.issuer, account=account, allow=allow),
        on_aws,
    )
    for name, (account, allow) in service_accounts.items()
}

service_urls: dict[str, str] = {}
public_urls: dict[str, str] = {}
tracking_secret_arn: pulumi.Input[str] = ""
jobs: dict[str, pulumi.Input[str]] = dict.fromkeys(("namespace", "service_account", "login_secret"), "")
if settings.services.enabled:
    on_both = pulumi.ResourceOptions(providers=[provider, cluster.kubernetes])
    services, generation = settings.services, settings.database.password_generation
    domain = settings.edge.domain if settings.edge.enabled else None
    load_balancer = tuple(Peer(cidr=block) for block in subnet_layout(settings.network.cidr).public if domain)
    storage = default_storage_class(
        "default-storage", needs=addons.all, opts=pulumi.ResourceOptions(provider=cluster.kubernetes)
    )
    controllers = Controllers(
        "controllers",
        ControllersArgs(
            cluster_name=cluster_name(environment),
            kubernetes_version=settings.cluster.kubernetes_version,
            region=settings.region,
            vpc_id=network.vpc_id,
            pools=settings.node_pools,
            replicas=services.controller_replicas,
            load_balancer_role_arn=identities["load-balancer-controller"].role_arn,
            autoscaler_role_arn=identities["cluster-autoscaler"].role_arn,
            secrets_role_arn=identities["external-secrets"].role_arn,
            webhook_callers=(Peer(cidr=settings.network.cidr),),
            needs=addons.all,
        ),
        on_both,
    )
    databases = DatabaseBootstrap(
        "databases",
        DatabaseBootstrapArgs(
            host=database.host,
            admin_secret_arn=database.secret_arn,
            owner_secret_arns=database.owner_secret_arns,
            password_generation=generation,
            secrets=controllers.secrets,
            needs=controllers.base,
        ),
        on_both,
    )
    mlflow_image = Image(
        "mlflow-image",
        ImageArgs(
            repository_url=registry.repository_urls["mlflow"],
            context=REPOSITORY,
            dockerfile="images/mlflow/Dockerfile",
            sources=("images/mlflow", "constraints.txt"),
        ),
        on_aws,
    )
    tracking = mlflow.Mlflow(
        "mlflow",
        mlflow.MlflowArgs(
            environment=environment,
            settings=services.mlflow,
            region=settings.region,
            image=mlflow_image,
            database_host=database.host,
            database_secret_arn=database.owner_secret_arns["mlflow"],
            auth_secret_arn=database.owner_secret_arns["mlflow_auth"],
            password_generation=generation,
            databases=databases.done,
            bucket=artifacts.bucket_name,
            role_arn=identities["mlflow"].role_arn,
            domain=domain,
            load_balancer=load_balancer,
            pod_hosts=host_pattern(settings.network.cidr),
            secrets=controllers.secrets,
            needs=controllers.base,
            deletable=deletable,
        ),
        on_both,
    )
    RayOperator("ray", RayOperatorArgs(watched=(training_namespace.NAMESPACE,), needs=controllers.base), on_both)
    training = TrainingNamespace(
        "training",
        TrainingNamespaceArgs(
            tracking_secret_arn=tracking.login_secret_arn,
            role_arn=identities["training"].role_arn,
            max_gpus=services.max_training_gpus,
            secrets=controllers.secrets,
            needs=controllers.base,
        ),
        on_both,
    )
    service_urls["mlflow"] = tracking.url
    tracking_secret_arn = tracking.login_secret_arn
    jobs = {
        "namespace": training.namespace,
        "service_account": training.service_account,
        "login_secret": training.login_secret,
    }

    backends = [tracking.backend]
    if services.airflow.enabled:
        airflow_image = Image(
            "airflow-image",
            ImageArgs(
                repository_url=registry.repository_urls["airflow"],
                context=REPOSITORY,
                dockerfile="images/airflow/Dockerfile",
                sources=("images/airflow",),
            ),
            on_aws,
        )
        pipelines = airflow.Airflow(
            "airflow",
            airflow.AirflowArgs(
                environment=environment,
                settings=services.airflow,
                region=settings.region,
                image=airflow_image,
                database_secret_arn=database.owner_secret_arns["airflow"],
                password_generation=generation,
                databases=databases.done,
                worker_role_arn=identities["airflow-worker"].role_arn,
                triggerer_role_arn=identities["airflow-triggerer"].role_arn,
                api_server_role_arn=identities["airflow-api-server"].role_arn,
                log_bucket=logs.bucket_name,
                tracking_url=tracking.url,
                tracking_secret_arn=tracking.login_secret_arn,
                variables={"artifact_bucket": artifacts.bucket_name, "dataset_bucket": datasets.bucket_name},
                training_namespace=training.namespace,
                domain=domain,
                load_balancer=load_balancer,
                secrets=controllers.secrets,
                needs=controllers.base,
                deletable=deletable,
            ),
            on_both,
        )
        service_urls["airflow"] = pipelines.url
        backends.append(pipelines.backend)
    if services.monitoring.enabled:
        watch = monitoring.Monitoring(
            "monitoring",
            monitoring.MonitoringArgs(
                environment=environment,
                settings=services.monitoring,
                region=settings.region,
                alert_topic_arn=budget.topic_arn,
                alertmanager_role_arn=identities["alertmanager"].role_arn,
                slack_secret_arn=services.monitoring.slack_secret_arn,
                domain=domain,
                load_balancer=load_balancer,
                training_namespace=training_namespace.NAMESPACE,
                secrets=controllers.secrets,
                needs=[*controllers.base, storage],
                deletable=deletable,
            ),
            on_both,
        )
        service_urls["grafana"] = watch.url
        backends.append(watch.backend)
    if edge and domain:
        for backend in backends:
            way_in = Ingress(
                f"way-in-{backend.host}",
                IngressArgs(
                    environment=environment,
                    backend=backend,
                    domain=domain,
                    zone_id=settings.edge.zone_id,
                    edge=edge.outputs(),
                    controller=controllers.load_balancers,
                ),
                on_both,
            )
            public_urls[backend.host] = way_in.url

PlatformOutputs(
    region=settings.region,
    vpc_id=network.vpc_id,
    cluster_name=cluster.name,
    kubeconfig=cluster.kubeconfig,
    oidc_provider_arn=cluster.issuer.provider_arn,
    oidc_issuer=cluster.issuer.url,
    role_arns={name: identity.role_arn for name, identity in identities.items()},
    artifact_bucket=artifacts.bucket_name,
    dataset_bucket=datasets.bucket_name,
    log_bucket=logs.bucket_name,
    backup_bucket=backups.bucket_name,
    database_host=database.host,
    database_secret_arn=database.secret_arn,
    database_owner_secret_arns=database.owner_secret_arns,
    repository_urls=registry.repository_urls,
    training_namespace=jobs["namespace"],
    training_service_account=jobs["service_account"],
    training_login_secret=jobs["login_secret"],
    alert_topic_arn=budget.topic_arn,
    edge=edge.outputs() if edge else {},
    service_urls=service_urls,
    public_urls=public_urls,
    tracking_secret_arn=tracking_secret_arn,
).export()

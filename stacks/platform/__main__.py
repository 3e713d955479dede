"""Platform stack: the network, cluster, stores and services that every workload shares."""

from pathlib import Path

import pulumi
import pulumi_aws as aws

from infra.cluster import Cluster, ClusterArgs
from infra.contracts import PlatformOutputs
from infra.database import Database, DatabaseArgs
from infra.identity import WorkloadIdentity, WorkloadIdentityArgs
from infra.image import Image, ImageArgs
from infra.naming import cluster_name
from infra.network import Network, NetworkArgs
from infra.node_pools import NodePools, NodePoolsArgs
from infra.provider import aws_provider
from infra.registry import ImageRegistry, ImageRegistryArgs
from infra.services import mlflow
from infra.settings import PlatformSettings
from infra.storage import ArtifactStore, ArtifactStoreArgs

REPOSITORY = Path(__file__).resolve().parents[2]

settings = PlatformSettings.load()
provider = aws_provider(
    region=settings.region,
    environment=settings.environment,
    deploy_role_arn=settings.deploy_role_arn,
    emulator=settings.aws.endpoint,
)
on_aws = pulumi.ResourceOptions(provider=provider)
partition = aws.get_partition_output(opts=pulumi.InvokeOutputOptions(provider=provider)).partition

network = Network(
    "network",
    NetworkArgs(
        cidr=settings.network.cidr,
        zones=settings.zones,
        nat_gateways=settings.network.nat_gateways,
        cluster_name=cluster_name(settings.environment),
    ),
    on_aws,
)
cluster = Cluster(
    "cluster",
    ClusterArgs(
        name=cluster_name(settings.environment),
        kubernetes_version=settings.cluster.kubernetes_version,
        vpc_id=network.vpc_id,
        private_subnet_ids=network.private_subnet_ids,
        public_subnet_ids=network.public_subnet_ids,
        public_access_cidrs=settings.cluster.public_access_cidrs,
        deploy_role_arn=settings.deploy_role_arn,
    ),
    on_aws,
)
NodePools(
    "nodes",
    NodePoolsArgs(
        cluster_name=cluster.name,
        subnet_ids=network.private_subnet_ids,
        partition=partition,
        pools=settings.node_pools,
    ),
    on_aws,
)
database = Database(
    "database",
    DatabaseArgs(
        vpc_id=network.vpc_id,
        subnet_ids=network.private_subnet_ids,
        client_security_group_id=cluster.security_group_id,
        settings=settings.database,
    ),
    on_aws,
)
artifacts = ArtifactStore(
    "artifacts",
    ArtifactStoreArgs(retention_days=settings.artifacts.retention_days, deletable=settings.artifacts.deletable),
    on_aws,
)
registry = ImageRegistry(
    "images",
    ImageRegistryArgs(
        environment=settings.environment, images=("mlflow", "training"), deletable=settings.artifacts.deletable
    ),
    on_aws,
)

service_urls: dict[str, str] = {}
tracking_secret_arn: pulumi.Input[str] = ""
if settings.services:
    identity = WorkloadIdentity(
        "mlflow-identity",
        WorkloadIdentityArgs(
            oidc_provider_arn=cluster.oidc_provider_arn,
            oidc_issuer=cluster.oidc_issuer,
            namespace=mlflow.NAMESPACE,
            service_account=mlflow.SERVICE_ACCOUNT,
            allow=artifacts.write_access(),
        ),
        on_aws,
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
    service = mlflow.Mlflow(
        "mlflow",
        mlflow.MlflowArgs(
            database_host=database.host,
            database_username=database.username,
            database_password=database.password,
            bucket=artifacts.bucket_name,
            role_arn=identity.role_arn,
            region=settings.region,
            image=mlflow_image,
            secret_recovery_days=30 if settings.database.deletion_protection else 0,
        ),
        pulumi.ResourceOptions(providers=[provider, cluster.kubernetes]),
    )
    service_urls["mlflow"] = service.url
    tracking_secret_arn = service.login_secret_arn

PlatformOutputs(
    region=settings.region,
    vpc_id=network.vpc_id,
    cluster_name=cluster.name,
    kubeconfig=cluster.kubeconfig,
    oidc_provider_arn=cluster.oidc_provider_arn,
    oidc_issuer=cluster.oidc_issuer,
    artifact_bucket=artifacts.bucket_name,
    database_host=database.host,
    database_secret_arn=database.secret_arn,
    repository_urls=registry.repository_urls,
    service_urls=service_urls,
    tracking_secret_arn=tracking_secret_arn,
).export()

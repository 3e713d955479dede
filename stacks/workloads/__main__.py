"""Workloads stack: images by digest, and the jobs that run them on the platform of the same environment."""

from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes

from infra.contracts import PlatformOutputs, WorkloadOutputs, config_map_to_fill, platform_stack, tracking_url
from infra.data.image import Image, ImageArgs
from infra.provider import acting_kubeconfig, aws_provider
from infra.services.pipelines import Pipelines, PipelinesArgs
from infra.services.training_job import METRICS_PORT, training_job
from infra.settings.workload_settings import WorkloadSettings
from workloads import environment

REPOSITORY = Path(__file__).resolve().parents[2]

settings = WorkloadSettings.load()
platform = PlatformOutputs.read(pulumi.StackReference(platform_stack()))
provider = aws_provider(
    region=platform.region, environment=settings.environment, deploy_role_arn=settings.deploy_role_arn
)

training_image = Image(
    "training",
    ImageArgs(
        repository_url=pulumi.Output.from_input(platform.repository_urls)["training"],
        context=REPOSITORY,
        dockerfile="images/training/Dockerfile",
    ),
    pulumi.ResourceOptions(provider=provider),
)
job = pulumi.Output.all(
    image=training_image.reference,
    namespace=platform.training_namespace,
    service_account=platform.training_service_account,
    secret=platform.training_login_secret,
    artifacts=platform.artifact_bucket,
    datasets=platform.dataset_bucket,
    urls=platform.service_urls,
    gpu_quota=platform.max_training_gpus,
).apply(
    lambda known: training_job(
        name="fashion-mnist",
        namespace=known["namespace"],
        service_account=known["service_account"],
        image=known["image"],
        command=f"python -m workloads train fashion_mnist --launcher ray --ranks {settings.training.ranks} "
        "--set device=cuda --max-restarts 3",
        environment={
            environment.TRACKING_URI: tracking_url(known["urls"], settings.environment),
            environment.CHECKPOINTS: f"s3://{known['artifacts']}/checkpoints",
            environment.DATA: f"s3://{known['datasets']}",
            environment.IMAGE_DIGEST: known["image"].rpartition("@")[2],
            environment.METRICS_PORT: str(METRICS_PORT),
            environment.PRICE: str(settings.training.price_per_hour),
        },
        secret_environment={
            environment.TRACKING_USERNAME: (known["secret"], "username"),
            environment.TRACKING_PASSWORD: (known["secret"], "password"),
        },
        cluster_variable=environment.JOB_CLUSTER,
        gpu_quota=int(known["gpu_quota"]),
        settings=settings.training,
    )
)

if settings.pipelines:
    kubeconfig = acting_kubeconfig(platform.kubeconfig, settings.deploy_role_arn)
    cluster = kubernetes.Provider("cluster", kubeconfig=kubeconfig, enable_server_side_apply=True)
    Pipelines(
        "pipelines",
        PipelinesArgs(
            config_map_uid=pulumi.Output.from_input(platform.pipelines_config_map_uid).apply(
                lambda uid: config_map_to_fill(uid, settings.environment)
            ),
            training_image=training_image.reference,
            training_job=job,
        ),
        pulumi.ResourceOptions(providers=[cluster]),
    )

WorkloadOutputs(training_image=training_image.reference, training_job=job).export()

"""A training job: where it shows its metrics, what its pods are told, and how long they are given to end."""

from infra.services.metrics import TRAINING_PORT_NAME
from infra.services.training_job import METRICS_PORT, training_job
from infra.settings.workload_settings import TrainingJobSettings
from tests.builders import planned, wanted
from workloads.environment import CHECKPOINTS, DATA, JOB_CLUSTER, REGISTRY
from workloads.environment import METRICS_PORT as METRICS_PORT_VARIABLE

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"


def containers(job):
    """The head's and the worker's."""
    cluster = job["spec"]["rayClusterSpec"]
    [workers] = cluster["workerGroupSpecs"]
    pods = (cluster["headGroupSpec"]["template"]["spec"], workers["template"]["spec"])
    return [container for pod in pods for container in pod["containers"]]


def test_the_worker_has_the_port_that_prometheus_looks_for_and_the_head_has_not():
    job = training_job(
        name="any",
        namespace="training",
        service_account="training",
        image="image",
        command="train",
        environment={},
        secret_environment={},
        cluster_variable="CLUSTER",
        settings=TrainingJobSettings(),
    )
    head, worker = containers(job)
    assert "ports" not in head
    assert worker["ports"] == [{"name": TRAINING_PORT_NAME, "containerPort": METRICS_PORT}]
    assert len(TRAINING_PORT_NAME) <= 15  # of a port's name, in Kubernetes


def test_a_job_of_the_program_shows_its_metrics_there_and_prometheus_may_ask():
    platform, workloads = planned("prod")
    [_, worker] = containers(workloads.outputs["training_job"])
    variables = {one["name"]: one.get("value") for one in worker["env"]}
    assert variables[METRICS_PORT_VARIABLE] == str(METRICS_PORT)
    rules = [
        one.inputs["spec"]["ingress"][0]
        for one in wanted(platform, POLICY).values()
        if one.inputs["metadata"]["namespace"] == "training" and one.inputs["metadata"]["name"] == "admit-metrics"
    ]
    [rule] = rules
    assert {"protocol": "TCP", "port": METRICS_PORT} in rule["ports"]
    [peer] = rule["from"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}


def test_the_command_runs_beside_the_gpus_and_asks_for_one_rank_a_gpu():
    job = planned("prod")[1].outputs["training_job"]
    assert "--launcher ray --ranks 1 " in job["spec"]["entrypoint"]
    assert "entrypointNumGpus" not in job["spec"]
    assert job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    assert TrainingJobSettings(workers=2, gpus=4).ranks == 8


def test_a_worker_has_time_to_save_before_its_spot_node_is_gone():
    job = planned("prod")[1].outputs["training_job"]
    pod = job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]
    [worker] = pod["containers"]
    [drain_s] = [int(one["value"]) for one in worker["env"] if one["name"] == "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"]
    assert 20 < drain_s < pod["terminationGracePeriodSeconds"] < 120


def test_a_job_keeps_checkpoints_in_the_bucket_and_knows_which_try_of_which_job_it_is():
    platform, workloads = planned("prod")
    head, worker = containers(workloads.outputs["training_job"])
    for container in (head, worker):
        variables = {one["name"]: one.get("value") for one in container["env"]}
        assert variables[CHECKPOINTS] == f"s3://{platform.outputs['artifact_bucket']}/checkpoints"
    [cluster] = [one for one in head["env"] if one["name"] == JOB_CLUSTER]
    assert cluster["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['ray.io/cluster']"


def test_a_job_is_told_of_the_data_sets_and_its_worker_has_room_for_a_copy():
    platform, workloads = planned("prod")
    head, worker = containers(workloads.outputs["training_job"])
    for container in (head, worker):
        variables = {one["name"]: one.get("value") for one in container["env"]}
        assert variables[DATA] == f"s3://{platform.outputs['dataset_bucket']}"
    pod = workloads.outputs["training_job"]["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]
    [volume] = [one for one in pod["volumes"] if one["name"] == "cache"]
    room = f"{TrainingJobSettings().cache_gib}Gi"
    assert volume["emptyDir"] == {"sizeLimit": room}
    assert worker["resources"]["requests"]["ephemeral-storage"] == room
    [mount] = [one for one in worker["volumeMounts"] if one["name"] == "cache"]
    assert {one["name"]: one.get("value") for one in worker["env"]}["XDG_CACHE_HOME"] == mount["mountPath"]


def test_a_job_has_no_part_in_moves_of_aliases():
    for container in containers(planned("prod")[1].outputs["training_job"]):
        assert REGISTRY not in {one["name"] for one in container["env"]}

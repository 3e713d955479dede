"""A training job: where it shows its metrics, and that Prometheus may ask there."""

from infra.services.metrics import TRAINING_PORT_NAME
from infra.training_job import METRICS_PORT, training_job
from infra.workload_settings import TrainingJobSettings
from tests.builders import planned, wanted
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
    doors = [
        one.inputs["spec"]["ingress"][0]
        for one in wanted(platform, POLICY).values()
        if one.inputs["metadata"]["namespace"] == "training" and one.inputs["metadata"]["name"] == "admit-metrics"
    ]
    [door] = doors
    assert {"protocol": "TCP", "port": METRICS_PORT} in door["ports"]
    [peer] = door["from"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}

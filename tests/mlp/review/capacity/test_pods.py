import pytest

from mlp.review.capacity.chart_pods import CHARTS
from mlp.review.capacity.planned_pods import planned_workloads
from mlp.review.capacity.pods import Runs, manifest_workloads, read_pod
from mlp.shared.errors import PlatformError
from tests.mlp.review.capacity.builders import changed, deployment, entry, plans, plans_with_airflow, program

MIB = 2**20


def container(name="main", *, limits=None, restart=None, **requests):
    resources = {"requests": requests, **({"limits": limits} if limits else {})}
    return {"name": name, "resources": resources, **({"restartPolicy": restart} if restart else {})}


@pytest.mark.parametrize(
    ("spec", "requests"),
    [
        ({"containers": [container(cpu="100m"), container(cpu="1", memory="1Mi")]}, {"cpu": 1100, "memory": MIB}),
        ({"containers": [container(limits={"memory": "3Mi"})]}, {"memory": 3 * MIB}),
        ({"containers": [container(limits={"memory": "3Mi"}, memory="1Mi")]}, {"memory": MIB}),
        (
            {"containers": [container(cpu="1")], "initContainers": [container(cpu="300m"), container(cpu="2")]},
            {"cpu": 2000},
        ),
        (
            {"containers": [container(cpu="1")], "initContainers": [container(cpu="300m"), container(memory="1Mi")]},
            {"cpu": 1000, "memory": MIB},
        ),
        (
            {"containers": [container(cpu="1")], "initContainers": [container(cpu="500m", restart="Always")]},
            {"cpu": 1500},
        ),
        (
            {
                "containers": [container(cpu="100m")],
                "initContainers": [container(cpu="500m", restart="Always"), container(cpu="700m")],
            },
            {"cpu": 1200},
        ),
        ({"containers": [container(**{"nvidia.com/gpu": 2})]}, {"nvidia.com/gpu": 2}),
        ({"containers": [{"name": "no resources"}], "initContainers": None}, {}),
    ],
    ids=[
        "containers add up",
        "a limit is a request",
        "a request goes before a limit",
        "the largest init container",
        "each resource by itself",
        "a sidecar stays",
        "a sidecar beside a later init container",
        "GPUs",
        "nothing",
    ],
)
def test_a_pod_asks_for_what_the_scheduler_sets_aside(spec, requests):
    assert dict(read_pod(spec, namespace="a", labels={}).requests) == requests


def test_every_request_that_cannot_be_read_is_named():
    spec = {"containers": [container("web", memory="2 GB"), container("side", cpu="one")]}
    with pytest.raises(ValueError, match="is not a quantity") as error:
        read_pod(spec, namespace="a", labels={})
    web, side = str(error.value).splitlines()
    assert web.startswith("container web: requests.memory: '2 GB'")
    assert side.startswith("container side: requests.cpu: 'one'")


def workloads(manifest):
    return {one.name: one for one in manifest_workloads(manifest, source="") or ()}


def manifest(kind, spec):
    return {"kind": kind, "metadata": {"name": "x", "namespace": "ns"}, "spec": spec}


TEMPLATE = {"spec": {"containers": [container(cpu="1")]}}


@pytest.mark.parametrize(
    ("made", "replicas", "runs"),
    [
        (manifest("Deployment", {"template": TEMPLATE, "replicas": 3}), 3, Runs.ALWAYS),
        (manifest("Deployment", {"template": TEMPLATE, "replicas": 0}), 0, Runs.ALWAYS),
        (manifest("StatefulSet", {"template": TEMPLATE}), 1, Runs.ALWAYS),
        (manifest("DaemonSet", {"template": TEMPLATE}), 1, Runs.ON_EVERY_NODE),
        (manifest("Job", {"template": TEMPLATE, "parallelism": 4, "completions": 9}), 4, Runs.ALWAYS),
        (manifest("CronJob", {"jobTemplate": {"spec": {"template": TEMPLATE}}}), 1, Runs.WHEN_BUSY),
        (manifest("Pod", TEMPLATE["spec"]), 1, Runs.ALWAYS),
    ],
    ids=lambda one: one["kind"] if isinstance(one, dict) else "",
)
def test_objects_of_kubernetes_are_read_whatever_brings_them(made, replicas, runs):
    [one] = workloads(made).values()
    assert one.name == f"{made['kind']} ns/x"
    assert (one.replicas, one.runs, dict(one.pod.requests)) == (replicas, runs, {"cpu": 1000})


def test_a_ray_job_is_its_head_its_workers_and_what_submits_it():
    cluster = {
        "headGroupSpec": {"template": TEMPLATE},
        "workerGroupSpecs": [{"groupName": "gpu", "replicas": 2, "template": {"spec": {"containers": [container()]}}}],
    }
    job = workloads(manifest("RayJob", {"rayClusterSpec": cluster}))
    assert set(job) == {"RayJob ns/x head", "RayJob ns/x worker gpu", "RayJob ns/x submitter"}
    worker = job["RayJob ns/x worker gpu"]
    assert worker.replicas == 2
    assert dict(worker.pod.requests) == {"cpu": 200, "memory": 256 * MIB}  # it waits for the head first
    assert set(workloads(manifest("RayCluster", cluster))) == {"RayCluster ns/x head", "RayCluster ns/x worker gpu"}


@pytest.mark.parametrize("stack", ["dev", "prod", "local"])
def test_every_pod_of_the_committed_stacks_is_known_and_names_its_source(stack):
    found = planned_workloads(plans(stack))
    names = {one.name for plan in plans(stack) for one in plan.resources.values()}
    assert {one.source for one in found} - names <= {"workloads output RayJob"}
    assert any(one.runs is Runs.ON_EVERY_NODE for one in found)


def test_training_and_the_workers_of_airflow_are_there_when_busy_and_services_always():
    runs = {one.name: one.runs for one in planned_workloads(plans_with_airflow("dev"))}
    assert runs["RayJob training/fashion-mnist worker gpu"] is Runs.WHEN_BUSY
    assert runs["CronJob airflow/airflow-worker"] is Runs.WHEN_BUSY
    assert runs["Deployment mlflow/mlflow"] is Runs.ALWAYS


def test_the_autoscaler_of_mlflow_counts_with_its_minimum():
    [server] = [one for one in planned_workloads(plans("prod")) if one.name == "Deployment mlflow/mlflow"]
    [release] = [one for one in plans("prod")[0].resources.values() if one.name == "mlflow-release"]
    assert release.inputs["values"]["autoscaling"]["enabled"]
    assert server.replicas == release.inputs["values"]["autoscaling"]["minReplicas"] > 1


def release(chart, values=None):
    inputs = {"name": "new", "namespace": "n", "chart": chart, "values": values or {}}
    return entry("kubernetes:helm.sh/v3:Release", "new", inputs)


def addon(name, configuration=None):
    more = {"configurationValues": configuration} if configuration else {}
    return entry("aws:eks/addon:Addon", "an-addon", {"addonName": name, **more})


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        (release("loki"), "new: release new: the pods of chart loki are not known; add what it starts to"),
        (release("airflow"), "redis.enabled, postgresql.enabled, createUserJob.enabled, migrateDatabaseJob.enabled of"),
        (release("mlflow", {"minio": {"enabled": True}}), "minio.enabled of chart mlflow adds pods that"),
        (addon("snapshot-controller"), "an-addon: add-on snapshot-controller: its pods are not known"),
        (addon("coredns", '{"replicaCount": 5}'), "its setting replicaCount may change the requests of its pods"),
        (
            entry("kubernetes:kafka.io/v1:Kafka", "queue", {"apiVersion": "kafka.io/v1", "kind": "Kafka"}),
            "queue: kubernetes:kafka.io/v1:Kafka is no known resource type; add its row to mlp/engine/types/kub",
        ),
        (
            entry("kubernetes:apps/v1:DeploymentPatch", "more", {"kind": "Deployment", "spec": {"replicas": 3}}),
            "more: it patches replicas of pods that are counted without it",
        ),
    ],
    ids=["chart", "parts on by default", "part", "add-on", "settings of an add-on", "custom resource", "patch"],
)
def test_what_may_bring_pods_and_is_not_known_is_refused_by_name(part, fault):
    with pytest.raises(PlatformError, match="the requests of pods cannot be determined") as error:
        planned_workloads([program(part)])
    assert fault in str(error.value)


def test_all_faults_of_a_plan_are_reported_at_once():
    with pytest.raises(PlatformError) as error:
        planned_workloads([program(release("loki"), deployment("web", {"memory": "2 GB"}))])
    assert "chart loki" in str(error.value)
    assert "web: Deployment test/web: container web: requests.memory: '2 GB' is not a quantity" in str(error.value)


def test_airflow_with_another_executor_is_refused():
    def celery(inputs):
        inputs["values"]["executor"] = "CeleryExecutor"

    with pytest.raises(PlatformError, match="the pods of Airflow's CeleryExecutor are not counted"):
        planned_workloads(changed("dev", "airflow-release", celery, plans_with_airflow))


def test_every_chart_of_the_table_is_installed():
    platform = plans_with_airflow("prod")[0]
    installed = {one.inputs["chart"] for one in platform.of_type("kubernetes:helm.sh/v3:Release")}
    assert set(CHARTS) == installed

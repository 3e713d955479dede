"""A training job: what its pods are and are told, what is done again after a loss, and what ends when."""

import pulumi
import pytest

from infra.services.metrics import TRAINING_PORT_NAME
from infra.services.training_job import METRICS_PORT, training_job
from infra.settings.workload_settings import TrainingJobSettings
from tests.builders import planned, wanted
from workloads.environment import CHECKPOINTS, DATA, JOB_CLUSTER, REGISTRY
from workloads.environment import METRICS_PORT as METRICS_PORT_VARIABLE
from workloads.submitter import Submitter

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"


def containers(job):
    """The head's and the worker's."""
    cluster = job["spec"]["rayClusterSpec"]
    [workers] = cluster["workerGroupSpecs"]
    pods = (cluster["headGroupSpec"]["template"]["spec"], workers["template"]["spec"])
    return [container for pod in pods for container in pod["containers"]]


def job_of(command="train", gpu_quota=1, **settings):
    return training_job(
        name="any",
        namespace="training",
        service_account="training",
        image="image",
        command=command,
        environment={},
        secret_environment={},
        cluster_variable="CLUSTER",
        gpu_quota=gpu_quota,
        settings=TrainingJobSettings(**settings),
    )


def templates(job):
    """The templates of its three kinds of pods, by name."""
    cluster = job["spec"]["rayClusterSpec"]
    return {
        "head": cluster["headGroupSpec"]["template"],
        "worker": cluster["workerGroupSpecs"][0]["template"],
        "submitter": job["spec"]["submitterPodTemplate"],
    }


def test_the_worker_has_the_port_that_prometheus_looks_for_and_the_head_has_not():
    head, worker = containers(job_of())
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
    [submitter] = templates(job)["submitter"]["spec"]["containers"]
    assert submitter["args"][:3] == ["python", "-m", "workloads"]
    assert "--launcher ray --ranks 1 " in " ".join(submitter["args"])
    assert not {"entrypoint", "entrypointNumGpus"} & set(job["spec"])
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


@pytest.mark.parametrize("kind", ["head", "worker", "submitter"])
def test_every_pod_has_a_class_a_number_for_its_user_and_requests_and_is_not_moved(kind):
    template = templates(job_of())[kind]
    assert template["metadata"]["annotations"] == {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
    pod = template["spec"]
    assert pod["priorityClassName"] == "training"
    assert pod["securityContext"]["runAsUser"] == 1000
    [container] = pod["containers"]
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert "memory" in container["resources"]["limits"]


def test_shared_memory_is_what_kuberay_gives_as_much_as_a_pods_limit():
    # KubeRay leaves a pod as it is that mounts something there itself; Ray wants 30 % of the memory in it.
    for template in templates(job_of()).values():
        assert not [one for one in template["spec"].get("volumes", ()) if "medium" in one.get("emptyDir", {})]
        mounts = template["spec"]["containers"][0].get("volumeMounts", ())
        assert "/dev/shm" not in [one["mountPath"] for one in mounts]


def test_a_cluster_needs_a_token():
    cluster = job_of()["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["rayVersion"] >= "2.52.0"  # the first that has it


def test_a_finished_jobs_cluster_goes_at_once_and_the_job_after_a_day():
    rules = {}
    for rule in job_of()["spec"]["deletionStrategy"]["deletionRules"]:
        [(kind, state)] = [(key, value) for key, value in rule["condition"].items() if key != "ttlSeconds"]
        assert (rule["policy"], kind, state) not in rules
        rules[rule["policy"], kind, state] = rule["condition"]["ttlSeconds"]
    assert rules == {
        ("DeleteCluster", "jobStatus", "SUCCEEDED"): 10,
        ("DeleteSelf", "jobStatus", "SUCCEEDED"): 86400,
        # What a deadline ends has no `jobStatus` of its own.
        ("DeleteCluster", "jobDeploymentStatus", "Failed"): 0,
        ("DeleteSelf", "jobDeploymentStatus", "Failed"): 86400,
    }


def test_rules_are_alone_in_saying_what_is_deleted():
    # KubeRay refuses a job that has both (ValidateRayJobSpec, v1.7.0).
    spec = job_of()["spec"]
    assert spec["shutdownAfterJobFinishes"] is False
    assert not {"ttlSecondsAfterFinished", "suspend"} & set(spec)


def test_a_job_has_deadlines_for_its_start_and_for_all_of_it():
    spec = job_of(start_minutes=10, deadline_hours=2)["spec"]
    assert (spec["preRunningDeadlineSeconds"], spec["activeDeadlineSeconds"]) == (600, 7200)


def test_a_failure_is_not_tried_again_and_a_lost_submitter_or_head_is():
    spec = job_of()["spec"]
    assert spec["backoffLimit"] == 0
    assert "submitterConfig" not in spec
    [submitter] = templates(job_of("python -c 'print(1)' --set a=1"))["submitter"]["spec"]["containers"]
    assert submitter["command"] == ["python", "-m", Submitter.__module__]
    assert submitter["args"] == ["python", "-c", "print(1)", "--set", "a=1"]


def test_the_submitter_can_do_nothing_in_the_cluster():
    pod = templates(job_of())["submitter"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod
    [container] = pod["containers"]
    assert container["resources"]["requests"] == {"cpu": "100m", "memory": "200Mi"}


@pytest.mark.parametrize(("workers", "gpus", "quota"), [(5, 1, 4), (1, 4, 2), (1, 1, 0)])
def test_a_job_that_can_never_have_its_gpus_is_refused(workers, gpus, quota):
    message = f"are {workers * gpus} GPUs, and the platform's jobs may have {quota}, "
    with pytest.raises(pulumi.RunError, match=message):
        job_of(gpu_quota=quota, workers=workers, gpus=gpus)
    assert job_of(gpu_quota=workers * gpus, workers=workers, gpus=gpus)


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

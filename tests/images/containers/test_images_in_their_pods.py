"""Every image, built from its Dockerfile, as the plan's pod: user, read-only root, capabilities, memory, arguments."""

import json
import shutil

import pytest

from infra.cluster.pod_security import IMAGE_USERS
from infra.services.airflow import fernet_key
from mlp.charts.check import releases_of
from mlp.engine.values import revealed
from tests.builders import inputs_of
from tests.images.containers.planned_pods import pods_of
from tests.images.containers.servers import (
    ON_THE_EMULATOR,
    PASSWORD,
    REPOSITORY,
    bucket,
    job_pod,
    keys,
    mlflow_accounts,
    wait_for_key,
)
from tests.mlp.charts.pod_security import manifests_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

MLFLOW = "http://localhost:5000"
ASK = f"import urllib.request as r; r.urlopen('{MLFLOW}/health', timeout=5)"
MEMORY = """
import glob, json, re
def of(path):
    try: return int(re.search(r"^Pss: +([0-9]+)", open(path).read(), re.M)[1])
    except (OSError, TypeError): return 0
found = [one for path in glob.glob("/proc/[0-9]*/smaps_rollup") if (one := of(path))]
print(json.dumps({"mib": sum(found) // 1024, "processes": len(found) - 1}))
"""
"""Prints the proportional memory of a container's processes, this one's too, and how many they are without it."""
CALLS = f"""
import json, mlflow
mlflow.set_tracking_uri("{MLFLOW}")
with mlflow.start_run() as run:
    mlflow.log_metric("loss", 0.5, step=1)
    mlflow.log_text("kept", "note.txt")
[point] = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
print(json.dumps([point.value, mlflow.artifacts.load_text(run.info.artifact_uri + "/note.txt")]))
"""
WITHOUT_LOGIN = f"""
import json, urllib.request, urllib.error
try:
    urllib.request.urlopen("{MLFLOW}/api/2.0/mlflow/experiments/get?experiment_id=0")
except urllib.error.HTTPError as error:
    print(json.dumps(error.code))
"""
RUN = f"""
import json, mlflow
mlflow.set_tracking_uri("{MLFLOW}")
client = mlflow.MlflowClient()
[run] = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
steps = [point.step for point in client.get_metric_history(run.info.run_id, "val/accuracy")]
print(json.dumps([run.info.status, "resumed_at" in run.data.tags, steps, run.data.metrics["test/accuracy"]]))
"""
DAG = """
from datetime import datetime
from airflow.sdk import dag, task

@dag(schedule="@once", start_date=datetime(2024, 1, 1), is_paused_upon_creation=False)
def once():
    @task
    def add() -> int:
        return 1 + 1
    add()

once()
"""


@pytest.fixture(scope="module")
def databases(pods, deployments):
    """The owners and databases, made by the plan's Job, whose second run finds all there."""
    for _ in range(2):
        pods.run(job_pod(deployments, "databases"))


@pytest.fixture(scope="module")
def mlflow_pod(deployments):
    """MLflow's pod, and the objects that it mounts."""
    found, objects = pods_of("mlflow", deployments)
    return found["mlflow"], objects


@pytest.fixture(scope="module")
def artifacts(pods, emulator, mlflow_pod):
    """The bucket of artifacts, checkpoints and moves."""
    [store] = [word for word in mlflow_pod[0]["containers"][0]["args"] if "artifacts-destination" in word]
    name = store.partition("s3://")[2].partition("/")[0]
    bucket(pods, emulator, name)
    return name


@pytest.fixture(scope="module")
def mlflow(pods, image, mlflow_pod, artifacts, databases):
    """A migrated server that answers."""
    spec, objects = mlflow_pod
    pods.images["mlflow"] = image("mlflow")
    pods.adopt(objects)
    server = pods.start(spec, environment=ON_THE_EMULATOR)
    pods.wait(server, "python", "-c", ASK)
    return server


@pytest.fixture(scope="module")
def accounts(pods, mlflow, deployments):
    """What each of two runs of the plan's Job said."""
    pod = job_pod(deployments, "mlflow-accounts-job")
    return [pods.run(pod, environment={"MLFLOW_TRACKING_URI": MLFLOW}).splitlines() for _ in range(2)]


def runs_as(pods, container):
    """The user and group of a container; a file in its root cannot be written."""
    assert "denied" in pods.inside(container, "sh", "-c", "touch /written 2>/dev/null || echo denied")
    return tuple(int(one) for one in pods.inside(container, "sh", "-c", "id -u; id -g").split())


def test_mlflow_runs_as_its_user_and_stays_below_its_memory_request_when_idle(pods, mlflow, mlflow_pod):
    [container] = mlflow_pod[0]["containers"]
    assert runs_as(pods, mlflow) == (IMAGE_USERS["mlflow"],) * 2
    idle = pods.python(mlflow, MEMORY)
    assert idle["mib"] < int(container["resources"]["requests"]["memory"].removesuffix("Mi")), idle
    assert idle["processes"] < 8, "jobs of generative AI are off"
    cached = "from mlflow.server.auth.config import read_auth_config as r; print(r().auth_cache_ttl_seconds)"
    assert pods.python(mlflow, cached) == 60


def test_mlflows_accounts_are_made_twice_alike_and_an_account_writes_a_run_with_an_artifact(
    pods, mlflow, accounts, emulator, artifacts, deployments
):
    first, second = accounts
    assert first == second
    assert first == [f"{name}: {permission}" for name, permission in sorted(mlflow_accounts(deployments).items())]
    assert pods.python(mlflow, WITHOUT_LOGIN) == 401
    login = pods.objects["Secret"]["mlflow-login-1"]
    variables = [f"MLFLOW_TRACKING_{key.upper()}={login[key]}" for key in ("username", "password")]
    told = pods.inside(mlflow, "env", *variables, "python", "-c", CALLS)
    assert json.loads(told.strip().splitlines()[-1]) == [0.5, "kept"]
    assert [key for key in keys(pods, emulator, artifacts) if key.startswith("mlflow/") and key.endswith("note.txt")]


def ray_job(deployments):
    """The RayJob that the plan hands to whoever submits it."""
    [job, *_] = [
        manifest
        for deployment in deployments
        for one in deployment.resources.values()
        for manifest in manifests_in(revealed(one.wanted.inputs))
        if manifest["kind"] == "RayJob"
    ]
    return job


def test_training_goes_on_from_its_checkpoint_after_its_pod_was_killed(
    pods, image, mlflow, accounts, artifacts, emulator, deployments
):
    pods.images["training"] = image("training")
    [group] = ray_job(deployments)["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    spec = group["template"]["spec"]
    [worker] = spec["containers"]
    there = {**ON_THE_EMULATOR, "MLFLOW_TRACKING_URI": MLFLOW, "MLP_METRICS_PORT": ""}

    def pod(*arguments):
        train = ["python", "-m", "workloads", "train", "--launcher", "torchrun", "--ranks", "2", *arguments]
        return {**spec, "containers": [{**worker, "command": train}]}

    sets = [word for one in ("epochs=4", "checkpoint.every_steps=2", "model.width=8") for word in ("--set", one)]
    first = pods.start(pod("digits", "--run-name", "kept", *sets), environment=there)
    wait_for_key(pods, emulator, artifacts, "checkpoints/kept/", ".pt")
    assert runs_as(pods, first) == (IMAGE_USERS["training"],) * 2
    pods.kill(first)
    assert "checkpoints/kept/result.json" not in keys(pods, emulator, artifacts)

    output = pods.run(pod("--resume", "kept"), environment=there)
    assert "test accuracy 0." in output
    login = pods.objects["Secret"]["mlflow-login-1"]
    variables = [f"MLFLOW_TRACKING_{key.upper()}={login[key]}" for key in ("username", "password")]
    told = pods.inside(mlflow, "env", *variables, "python", "-c", RUN)
    status, resumed, steps, accuracy = json.loads(told.strip().splitlines()[-1])
    assert (status, resumed) == ("FINISHED", True)
    assert len(steps) == len(set(steps)), "no point twice"
    assert max(steps) == 84, "4 epochs of 21 steps"
    assert accuracy > 0.5


@pytest.fixture(scope="module")
def airflow_image(image, tmp_path_factory):
    """Airflow's image with a pipeline in it, which is another image than the one without."""
    place = tmp_path_factory.mktemp("context")
    for folder in ("images/airflow", "workloads/dags"):
        shutil.copytree(REPOSITORY / folder, place / folder)
    (place / "workloads/dags/once.py").write_text(DAG)
    return image("airflow", place)


@pytest.fixture(scope="module")
def airflow_secrets(pods, deployments):
    """The Secrets of Airflow's pods, from the plan's own templates."""
    external = {
        one["metadata"]["name"]: one["spec"]["target"]["template"]["data"]
        for deployment in deployments
        for one in inputs_of(deployment, "kubernetes:external-secrets.io/v1:ExternalSecret").values()
        if "template" in one["spec"]["target"]
    }
    values = {"username": "airflow", "password": PASSWORD, "host": pods.hosts[0], "port": "5432", "dbname": "airflow"}

    def filled(template):
        for name, value in values.items():
            template = template.replace(f"{{{{ .{name} }}}}", value)
        return template

    made = {name: {key: filled(text) for key, text in data.items()} for name, data in external.items()}
    keys_of_all = {"fernet-key": fernet_key("x" * 64), "jwt-secret": "j" * 64, "api-secret-key": "k" * 64}
    secrets = {name: made[name] for name in made if name.startswith("airflow")}
    secrets["airflow-1"] = {**secrets["airflow-1"], **keys_of_all}
    secrets["airflow-admin-1"] = {"username": "admin", "password": PASSWORD}
    pods.objects["Secret"] |= secrets


def test_airflow_is_set_up_twice_and_schedules_and_runs_a_pipeline_of_its_image(
    pods, airflow_image, airflow_secrets, databases, emulator, deployments
):
    pods.images["airflow"] = airflow_image
    for _ in range(2):
        pods.run(job_pod(deployments, "airflow-setup"))
    found, objects = pods_of("airflow", deployments)
    pods.adopt(objects)
    [values] = [one.values for one in releases_of(deployments) if one.name == "airflow"]
    logs = values["config"]["logging"]["remote_base_log_folder"].partition("s3://")[2].partition("/")[0]
    bucket(pods, emulator, logs)
    # There is no Kubernetes to run tasks in pods of their own.
    there = {**ON_THE_EMULATOR, "AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}
    api_server = pods.start(found["airflow-api-server"], environment=there)
    ask = "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/api/v2/monitor/health', timeout=5)"
    pods.wait(api_server, "python", "-c", ask)  # tasks ask it as soon as they run
    scheduler, processor = (
        pods.start(found[f"airflow-{one}"], environment=there) for one in ("scheduler", "dag-processor")
    )
    for container in (api_server, scheduler, processor):
        assert runs_as(pods, container) == (IMAGE_USERS["airflow"], 0)
    url = f"postgresql://airflow:{PASSWORD}@127.0.0.1/airflow?sslmode=require"
    state = "SELECT state FROM dag_run WHERE dag_id = 'once'"
    ended = f'case "$(psql -At "{url}" -c "{state}")" in success|failed) ;; *) exit 1 ;; esac'
    pods.wait(pods.database, "sh", "-c", ended)
    errors = pods.inside(pods.database, "psql", "-At", url, "-c", "SELECT stacktrace FROM import_error")
    assert errors.strip() == ""
    told = pods.inside(pods.database, "psql", "-At", url, "-c", state).strip()
    assert told == "success", pods.log(scheduler)[-4000:]
    wait_for_key(pods, emulator, logs, "airflow/dag_id=once/", ".log")

"""Airflow: its secrets are shared and by name, its tasks may submit jobs, and its chart takes the values."""

import base64
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from infra.cluster.namespaces import Peer
from infra.data.image import Image, ImageArgs
from infra.facts import charts
from infra.services import airflow
from infra.settings.service_settings import AirflowSettings
from mlp.charts.store import FOLDER_VARIABLE, find_store
from mlp.charts.values import findings
from tests.builders import deploy, inputs_of, wanted
from tests.infra.builders import CLUSTER, environment
from tests.mlp.charts.pod_security import pod_specs, pods_of_release, violations

REPOSITORY = Path(__file__).resolve().parents[3]
RELEASE = "kubernetes:helm.sh/v3:Release"
EXTERNAL_SECRET = "kubernetes:external-secrets.io/v1:ExternalSecret"
JOB = "kubernetes:batch/v1:Job"
LOAD_BALANCER = Peer(namespace="entrance")


def deploy_airflow(*, domain="example.com", load_balancer=(LOAD_BALANCER,), password_generation=1, **settings):
    def declare():
        image = Image(
            "airflow-image",
            ImageArgs(
                repository_url="registry.example.com/airflow",
                context=REPOSITORY,
                dockerfile="images/airflow/Dockerfile",
            ),
        )
        airflow.Airflow(
            "airflow",
            airflow.AirflowArgs(
                environment=environment(deletable=True),
                cluster=replace(CLUSTER, domain=domain, load_balancer=load_balancer),
                settings=AirflowSettings(**settings),
                image=image,
                database_secret_arn="arn:database",
                password_generation=password_generation,
                databases=kubernetes.core.v1.ConfigMap("databases"),
                role_arns={"worker": "arn:worker", "triggerer": "arn:triggerer", "api_server": "arn:api-server"},
                log_bucket="logs",
                tracking_url="http://mlflow.mlflow.svc.cluster.local",
                tracking_secret_arn="arn:tracking",
                variables={"dataset_bucket": pulumi.Output.from_input("datasets")},
                training_namespace="training",
            ),
        )

    return deploy(declare)


def values_of(deployment):
    [release] = inputs_of(deployment, RELEASE).values()
    return release["values"]


def external_secrets(deployment):
    return {name.rpartition("secret-")[2]: one["spec"] for name, one in inputs_of(deployment, EXTERNAL_SECRET).items()}


@pytest.fixture(scope="module")
def chart():
    found = find_store().chart(charts.AIRFLOW.name)
    if found is None:
        pytest.skip(f"no data of the chart here, so values meet no schema; {FOLDER_VARIABLE} names a folder of charts")
    return found


@pytest.mark.parametrize(
    "settings",
    [{"replicas": 1}, {"replicas": 2}, {"dags_repository": "https://example.com/dags.git", "dags_branch": "next"}],
    ids=["one", "two", "git"],
)
def test_the_chart_takes_the_values(chart, settings):
    assert findings(values_of(deploy_airflow(**settings)), chart) == []


@pytest.mark.parametrize(
    "settings", [{}, {"dags_repository": "https://example.com/dags.git"}], ids=["from the image", "from git"]
)
def test_its_pods_keep_to_the_security_level_of_its_namespace(settings):
    deployment = deploy_airflow(**settings)
    [namespace] = inputs_of(deployment, "kubernetes:core/v1:Namespace").values()
    level = namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert level == "restricted"
    pods = pods_of_release(name="airflow", namespace="airflow", chart="airflow", values=values_of(deployment))
    specs = [spec for pod in pods for spec in pod_specs(pod)]
    assert ("git-sync" in {one["name"] for spec in specs for one in spec["containers"]}) == bool(settings)
    assert [fault for spec in specs for fault in violations(spec, level)] == []


def test_no_secret_is_among_the_values():
    deployment = deploy_airflow()
    stored = inputs_of(deployment, "aws:secretsmanager/secretVersion:SecretVersion")
    login, keys = (json.loads(stored[f"airflow-{role}-value"]["secretString"]) for role in ("login", "keys"))
    told = json.dumps([values_of(deployment), *inputs_of(deployment, JOB).values()])
    assert [secret for secret in (login["password"], *keys.values()) if secret in told] == []


def test_every_process_reads_the_same_keys_and_each_driver_its_own_way_to_ask_for_tls():
    deployment = deploy_airflow()
    values = values_of(deployment)
    names = {values[key] for key in ("fernetKeySecretName", "jwtSecretName", "apiSecretKeySecretName")}
    assert names == {values["data"]["metadataSecretName"]} == {"airflow-1"}
    secret = external_secrets(deployment)["airflow"]
    login = "{{ .username }}:{{ .password }}@{{ .host }}:{{ .port }}/{{ .dbname }}"
    assert secret["target"]["template"]["data"] == {
        "connection": f"postgresql+psycopg2://{login}?sslmode=require",
        "connection-async": f"postgresql+asyncpg://{login}?ssl=require",
    }
    assert {one["secretKey"] for one in secret["data"]} >= {"fernet-key", "jwt-secret", "api-secret-key", "dbname"}


def test_a_fernet_key_is_32_bytes_that_stay_the_same():
    key = airflow.fernet_key("x" * 64)
    assert len(base64.urlsafe_b64decode(key)) == 32
    assert key == airflow.fernet_key("x" * 64) != airflow.fernet_key("y" * 64)


def test_pipelines_find_mlflow_the_cluster_and_the_buckets_without_anyone_entering_them():
    deployment = deploy_airflow()
    values = values_of(deployment)
    variables = {one["name"]: one["value"] for one in values["env"]}
    assert variables["AIRFLOW_VAR_DATASET_BUCKET"] == "datasets"
    assert variables["AIRFLOW_VAR_TRAINING_NAMESPACE"] == "training"
    [mlflow] = [one for one in values["secret"] if one["envName"] == "AIRFLOW_CONN_MLFLOW"]
    assert mlflow["secretName"] == "airflow-tracking-1"
    told = external_secrets(deployment)["airflow-tracking"]["target"]["template"]["data"]["connection"]
    assert json.loads(told)["host"] == "http://mlflow.mlflow.svc.cluster.local"
    [workloads] = [one for one in values["volumes"] if one["name"] == "workloads"]
    assert workloads["configMap"] == {"name": "workloads"}


def test_the_config_map_for_the_workloads_stack_exists_before_the_pods_that_mount_it():
    deployment = deploy_airflow()
    made = wanted(deployment, "kubernetes:core/v1:ConfigMap")["airflow-workloads"]
    [release] = wanted(deployment, RELEASE).values()
    assert (made.inputs["metadata"]["namespace"], made.inputs["metadata"]["name"]) == ("airflow", "workloads")
    assert made.urn in release.dependencies


def test_old_records_are_deleted_and_stay_in_no_table_beside():
    cleanup = values_of(deploy_airflow())["databaseCleanup"]
    assert (cleanup["enabled"], cleanup["retentionDays"], cleanup["skipArchive"]) == (True, 90, True)


def test_every_pod_of_ours_runs_the_image_by_digest():
    images = values_of(deploy_airflow())["images"]
    assert images["airflow"] == images["pod_template"]
    assert "@sha256:" in images["airflow"]["tag"]


def test_no_job_of_the_chart_runs_and_the_release_waits_for_ours():
    deployment = deploy_airflow()
    values = values_of(deployment)
    assert [values[job]["enabled"] for job in ("migrateDatabaseJob", "createUserJob")] == [False, False]
    [release] = wanted(deployment, RELEASE).values()
    [job] = wanted(deployment, JOB).values()
    assert job.urn in release.dependencies
    assert any(urn.endswith("::databases") for urn in job.dependencies)
    assert "ttlSecondsAfterFinished" not in job.inputs["spec"]


def setup_of(deployment):
    [job] = inputs_of(deployment, JOB).values()
    return job["metadata"]["name"], job["spec"]["template"]["spec"]["containers"][0]


def test_another_password_is_another_job_and_starts_everything_anew():
    name, container = setup_of(deploy_airflow())
    assert setup_of(deploy_airflow())[0] == name
    rotated = deploy_airflow(password_generation=2)
    assert setup_of(rotated)[0] != name
    assert values_of(rotated)["data"]["metadataSecretName"] == "airflow-2"
    [password] = [one for one in container["env"] if one["name"] == "ADMIN_PASSWORD"]
    assert password["valueFrom"]["secretKeyRef"] == {"name": "airflow-admin-1", "key": "password"}


AIRFLOW = """#!/bin/sh
{ echo "$@"; case "$1 $2" in "users "*) cat;; esac; } >> "$CALLS"
"""


def test_the_setup_migrates_then_makes_the_administrator_and_shows_the_password_to_no_list_of_processes(tmp_path):
    program = tmp_path / "airflow"
    program.write_text(AIRFLOW)
    program.chmod(0o755)
    _, container = setup_of(deploy_airflow())
    told = {"ADMIN_USERNAME": "ada", "ADMIN_PASSWORD": "pass%s word", "CALLS": str(tmp_path / "calls")}
    environment = {**told, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(container["args"], env=environment, check=True, capture_output=True)
    assert (tmp_path / "calls").read_text().splitlines() == [
        "db migrate",
        "users create --username ada --role Admin --firstname Platform --lastname Admin --email admin@example.com",
        *["pass%s word"] * 2,
        "users reset-password --username ada",
        *["pass%s word"] * 2,
    ]


def test_the_setup_connects_as_the_servers_do():
    deployment = deploy_airflow()
    _, container = setup_of(deployment)
    told = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one}
    assert told == {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": {"name": "airflow-1", "key": "connection"},
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": {"name": "airflow-1", "key": "connection-async"},
        "AIRFLOW__CORE__FERNET_KEY": {"name": "airflow-1", "key": "fernet-key"},
        "ADMIN_USERNAME": {"name": "airflow-admin-1", "key": "username"},
        "ADMIN_PASSWORD": {"name": "airflow-admin-1", "key": "password"},
    }
    plain = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    assert plain["AIRFLOW__CORE__AUTH_MANAGER"] == values_of(deployment)["config"]["core"]["auth_manager"]
    # Its disk is read-only but for this.
    assert plain["AIRFLOW_HOME"].startswith("/tmp/")
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]


def test_each_service_account_gets_its_own_role():
    values = values_of(deploy_airflow())
    accounts = {
        airflow.WORKER.name: values["workers"]["kubernetes"]["serviceAccount"],
        airflow.TRIGGERER.name: values["triggerer"]["serviceAccount"],
        airflow.API_SERVER.name: values["apiServer"]["serviceAccount"],
    }
    assert {name: account["annotations"]["eks.amazonaws.com/role-arn"] for name, account in accounts.items()} == {
        "airflow-worker": "arn:worker",
        "airflow-triggerer": "arn:triggerer",
        "airflow-api-server": "arn:api-server",
    }
    assert values["config"]["logging"]["remote_base_log_folder"] == "s3://logs/airflow"


def test_the_scheduler_alone_starts_pods_beside_itself():
    deployment = deploy_airflow()
    assert values_of(deployment)["allowPodLaunching"] is False
    role = inputs_of(deployment, "kubernetes:rbac.authorization.k8s.io/v1:Role")["airflow-executor"]
    binding = wanted(deployment, "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding")["airflow-executor-binding"]
    assert role["metadata"]["namespace"] == binding.inputs["metadata"]["namespace"] == "airflow"
    assert [rule["resources"] for rule in role["rules"]] == [["pods"]]
    assert [one["name"] for one in binding.inputs["subjects"]] == ["airflow-scheduler"]
    [release] = wanted(deployment, RELEASE).values()
    assert binding.urn in release.dependencies


def test_tasks_may_submit_training_jobs_and_change_nothing_else():
    deployment = deploy_airflow()
    role = inputs_of(deployment, "kubernetes:rbac.authorization.k8s.io/v1:Role")["airflow-training"]
    binding = inputs_of(deployment, "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding")["airflow-training-binding"]
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "training"
    changing = {
        (resource, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if verb not in ("get", "list", "watch")
    }
    assert changing == {("rayjobs", "create"), ("rayjobs", "delete")}
    assert {(one["namespace"], one["name"]) for one in binding["subjects"]} == {
        ("airflow", "airflow-worker"),
        ("airflow", "airflow-triggerer"),
    }


@pytest.mark.parametrize(("replicas", "protected"), [(1, False), (2, True)])
def test_replicas_are_protected_where_there_are_several(replicas, protected):
    values = values_of(deploy_airflow(replicas=replicas))
    for part in ("apiServer", "scheduler"):
        assert values[part]["replicas"] == replicas
        assert values[part]["podDisruptionBudget"]["enabled"] is protected


def test_pipelines_come_from_the_image_or_from_git():
    assert values_of(deploy_airflow())["dags"]["gitSync"] == {"enabled": False}
    git = values_of(deploy_airflow(dags_repository="https://example.com/d.git", dags_branch="next"))["dags"]["gitSync"]
    assert (git["enabled"], git["repo"], git["subPath"]) == (True, "https://example.com/d.git", "workloads/dags")
    assert git["branch"] == git["ref"] == "next"


def test_links_lead_to_the_public_name_where_there_is_one():
    assert values_of(deploy_airflow())["config"]["api"]["base_url"] == "https://airflow.example.com"
    assert "base_url" not in values_of(deploy_airflow(domain=None))["config"]["api"]


def policies(deployment):
    return inputs_of(deployment, "kubernetes:networking.k8s.io/v1:NetworkPolicy").values()


def ingress_rules(deployment):
    return {
        one["metadata"]["name"]: [rule for ingress in one["spec"]["ingress"] for rule in ingress["from"]]
        for one in policies(deployment)
    }


def test_people_come_through_the_load_balancer_alone_and_nobody_where_there_is_none():
    assert ingress_rules(deploy_airflow())["admit-people"] == [LOAD_BALANCER.as_rule()]
    assert set(ingress_rules(deploy_airflow(load_balancer=()))) == {"within-the-namespace", "admit-metrics"}


EXPORTER_PORT = 9102
"""Where the chart's statsd exporter is asked, by its Service's port `statsd-scrape`; no value of ours changes it."""


def test_prometheus_finds_the_metrics_and_is_let_in_where_they_are():
    deployment = deploy_airflow()
    [monitor] = inputs_of(deployment, "kubernetes:monitoring.coreos.com/v1:ServiceMonitor").values()
    assert monitor["spec"]["endpoints"] == [{"port": "statsd-scrape"}]
    assert monitor["spec"]["selector"] == {"matchLabels": {"release": "airflow", "component": "statsd"}}
    assert monitor["metadata"]["namespace"] == "airflow"
    assert "labels" not in monitor["metadata"]
    [policy] = [one for one in policies(deployment) if one["metadata"]["name"] == "admit-metrics"]
    [rule] = policy["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": EXPORTER_PORT}]
    assert rule["from"] == [Peer(namespace="monitoring").as_rule()]
    statsd = values_of(deployment)["statsd"]
    assert statsd.get("enabled", True)
    assert "ports" not in statsd


def test_the_charts_exporter_is_asked_where_prometheus_is_let_in(chart):
    assert chart.values["ports"]["statsdScrape"] == EXPORTER_PORT


def test_people_are_let_in_where_the_service_listens():
    [policy] = [one for one in policies(deploy_airflow()) if one["metadata"]["name"] == "admit-people"]
    [rule] = policy["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": airflow.SERVICE_PORT}] == [{"protocol": "TCP", "port": 8080}]
    assert policy["spec"]["podSelector"] == {"matchLabels": {"component": "api-server"}}

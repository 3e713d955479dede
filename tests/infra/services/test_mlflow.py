"""MLflow: replicated where asked, behind a login, its records and artifacts outside its pods."""

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from infra.cluster.namespaces import Peer
from infra.data.database import POSTGRES_PORT
from infra.data.image import Image, ImageArgs
from infra.servers.mlflow import DRIVER
from infra.services.mlflow import SERVICE_ACCOUNT, Mlflow, MlflowArgs
from infra.settings.service_settings import MlflowSettings
from tests.builders import deploy, inputs_of, wanted
from tests.infra.builders import CLUSTER, environment

REPOSITORY = Path(__file__).resolve().parents[3]
CHARTS_LABELS = {"app.kubernetes.io/name": "mlflow", "app.kubernetes.io/instance": "mlflow"}
"""What the chart writes on the servers and their Service: its own name, and the release's."""


def deploy_mlflow(*, domain=None, generation=1, **settings):
    def declare():
        databases = kubernetes.core.v1.ConfigMap("databases", metadata={"name": "databases"})
        image = Image(
            "image",
            ImageArgs(
                repository_url="registry/mlflow",
                context=REPOSITORY,
                dockerfile="images/mlflow/Dockerfile",
            ),
        )
        args = MlflowArgs(
            environment=environment(deletable=True),
            cluster=replace(CLUSTER, domain=domain, load_balancer=(Peer(cidr=IPv4Network("10.0.192.0/20")),)),
            settings=MlflowSettings.model_validate(settings),
            image=image,
            database_host="db.example",
            database_secret_arn="arn:mlflow",
            auth_secret_arn="arn:mlflow-auth",
            password_generation=generation,
            databases=databases,
            bucket="artifacts",
            role_arn="arn:role",
            clients=("training", "monitoring"),
            pod_hosts="10.0.*",
        )
        pulumi.export("login", Mlflow("mlflow", args).login_secret_arn)

    return deploy(declare)


def values_of(deployment):
    [release] = inputs_of(deployment, "kubernetes:helm.sh/v3:Release").values()
    return release["values"]


def test_records_logins_and_artifacts_lie_outside_the_pods():
    values = values_of(deploy_mlflow())
    server = {"enabled": True, "host": "db.example", "port": POSTGRES_PORT, "driver": DRIVER}
    assert values["backendStore"]["postgres"] == {**server, "database": "mlflow"}
    logins = values["auth"]["postgres"]
    assert {key: logins[key] for key in (*server, "database")} == {**server, "database": "mlflow_auth"}
    assert values["artifactRoot"] == {
        "proxiedArtifactStorage": True,
        "s3": {"enabled": True, "bucket": "artifacts", "path": "mlflow"},
    }


@pytest.mark.parametrize(("largest", "scaled"), [(5, True), (2, False)])
def test_servers_are_added_under_load_where_settings_allow_it(largest, scaled):
    """The chart renders its autoscaler if, beside this, records, artifacts and logins all lie outside the pods."""
    values = values_of(deploy_mlflow(min_replicas=2, max_replicas=largest))
    scaling = values["autoscaling"]
    assert (scaling["enabled"], scaling["minReplicas"], scaling["maxReplicas"]) == (scaled, 2, largest)
    assert [metric["resource"]["name"] for metric in scaling["metrics"]] == ["cpu"]
    assert values["replicaCount"] == 2
    assert values["backendStore"]["postgres"]["enabled"]
    assert values["artifactRoot"]["s3"]["enabled"]
    assert values["auth"]["postgres"]["enabled"]


def test_who_has_no_account_gets_in_nowhere_and_an_account_reads():
    values = values_of(deploy_mlflow())
    assert values["auth"]["enabled"]
    assert values["auth"]["defaultPermission"] == "READ"


def test_passwords_are_in_values_by_reference_alone():
    deployment = deploy_mlflow(accounts={"ada": "EDIT"})
    passwords = [
        one.created.outputs["result"].value
        for one in deployment.of_type("random:index/randomPassword:RandomPassword")
        if "flask" not in one.wanted.name
    ]
    assert len(passwords) == 5
    text = str(values_of(deployment))
    assert not [password for password in passwords if password in text]


def test_a_new_generation_of_passwords_starts_the_servers_anew():
    first, second = (values_of(deploy_mlflow(generation=generation)) for generation in (1, 2))
    assert first["backendStore"]["existingDatabaseSecret"]["name"] == "mlflow-database-1"
    assert second["backendStore"]["existingDatabaseSecret"]["name"] == "mlflow-database-2"
    assert second["auth"]["postgres"]["existingSecret"]["name"] == "mlflow-auth-database-2"


@pytest.mark.parametrize("domain", ["ml.example.com", None])
def test_it_answers_to_its_own_names_and_to_no_other(domain):
    values = values_of(deploy_mlflow(domain=domain))
    public = [f"mlflow.{domain}"] if domain else []
    assert values["serverAllowedHosts"] == [
        *public,
        "mlflow",
        "mlflow.mlflow",
        "mlflow.mlflow.svc.cluster.local",
        "10.0.*",
        "localhost:*",
    ]
    assert values["corsAllowedOrigins"] == [f"https://{host}" for host in public]


def test_metrics_are_asked_for_with_a_login_since_nobody_is_answered_without():
    deployment = deploy_mlflow()
    [monitor] = inputs_of(deployment, "kubernetes:monitoring.coreos.com/v1:ServiceMonitor").values()
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint["basicAuth"]["password"] == {"name": "mlflow-monitoring-1", "key": "password"}
    assert monitor["spec"]["selector"] == {"matchLabels": CHARTS_LABELS}
    assert endpoint["port"] == "http"
    assert "serviceMonitor" not in values_of(deployment)
    assert values_of(deployment)["extraArgs"]["exposePrometheus"]


def test_accounts_are_made_by_a_job_that_changes_with_them():
    first, second = (
        wanted(deploy_mlflow(accounts=accounts), "kubernetes:batch/v1:Job")["mlflow-accounts-job"].inputs
        for accounts in ({}, {"ada": "MANAGE"})
    )
    assert first["metadata"]["name"] != second["metadata"]["name"]
    [container] = second["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one.get("value") for one in container["env"]}
    assert (
        variables["ACCOUNTS"] == '{"ada": "MANAGE", "monitoring": "READ", "promoter": "PROMOTE", "workloads": "EDIT"}'
    )
    assert variables["MLFLOW_TRACKING_URI"] == "http://mlflow.mlflow.svc.cluster.local"


def test_the_job_of_the_accounts_logs_in_as_the_administrator_and_finds_each_ones_password():
    deployment = deploy_mlflow(accounts={"ada": "MANAGE"})
    spec = wanted(deployment, "kubernetes:batch/v1:Job")["mlflow-accounts-job"].inputs["spec"]["template"]["spec"]
    [container] = spec["containers"]
    login = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one}
    assert login == {
        "MLFLOW_TRACKING_USERNAME": {"name": "mlflow-admin-1", "key": "username"},
        "MLFLOW_TRACKING_PASSWORD": {"name": "mlflow-admin-1", "key": "password"},
    }
    assert values_of(deployment)["auth"]["existingAdminSecret"]["name"] == "mlflow-admin-1"
    [folder] = [one["value"] for one in container["env"] if one["name"] == "ACCOUNT_PASSWORDS"]
    [volume] = [one["name"] for one in container["volumeMounts"] if one["mountPath"] == folder]
    [secret] = [one["secret"]["secretName"] for one in spec["volumes"] if one["name"] == volume]
    manifests = inputs_of(deployment, "kubernetes:external-secrets.io/v1:ExternalSecret").values()
    [passwords] = [one["spec"]["data"] for one in manifests if one["spec"]["target"]["name"] == secret]
    assert {one["secretKey"] for one in passwords} == {"ada", "monitoring", "promoter", "workloads"}
    assert {one["remoteRef"]["property"] for one in passwords} == {"password"}
    assert len({one["remoteRef"]["key"] for one in passwords}) == 4


def test_jobs_log_in_with_an_account_of_their_own():
    deployment = deploy_mlflow()
    logins = {
        one.wanted.name: one.created.outputs["arn"] for one in deployment.of_type("aws:secretsmanager/secret:Secret")
    }
    assert deployment.outputs["login"] == logins["mlflow-workloads-login-secret"]


def test_the_servers_run_as_the_account_that_has_their_role():
    account = values_of(deploy_mlflow())["serviceAccount"]
    assert account == {
        "create": True,
        "name": SERVICE_ACCOUNT.name,
        "annotations": {"eks.amazonaws.com/role-arn": "arn:role"},
    }


@pytest.mark.parametrize(("replicas", "count"), [(1, 0), (2, 1)])
def test_one_server_alone_is_not_kept_from_being_moved(replicas, count):
    deployment = deploy_mlflow(min_replicas=replicas)
    budgets = inputs_of(deployment, "kubernetes:policy/v1:PodDisruptionBudget").values()
    assert [one["spec"] for one in budgets] == [{"minAvailable": 1, "selector": {"matchLabels": CHARTS_LABELS}}] * count


def test_an_upload_may_end_before_its_server_does():
    [patch] = inputs_of(deploy_mlflow(), "kubernetes:apps/v1:DeploymentPatch").values()
    assert patch["spec"]["template"]["spec"] == {"terminationGracePeriodSeconds": 300}


def test_its_clients_and_the_load_balancer_alone_reach_it():
    policies = inputs_of(deploy_mlflow(), "kubernetes:networking.k8s.io/v1:NetworkPolicy")
    [rule] = policies["mlflow-namespace-admit-clients"]["spec"]["ingress"]
    namespaces = [
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for peer in rule["from"]
        if "namespaceSelector" in peer
    ]
    assert namespaces == ["training", "monitoring"]
    assert [peer["ipBlock"]["cidr"] for peer in rule["from"] if "ipBlock" in peer] == ["10.0.192.0/20"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 5000}]

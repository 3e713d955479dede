"""Monitoring: what is installed, who may reach it, and what it is told of its secrets."""

import json
import re
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pulumi
import pytest

from infra.cluster.namespaces import Peer
from infra.facts import charts
from infra.services import metrics, monitoring
from infra.services.alert_routing import PEOPLE, publish_access
from infra.services.metrics import (
    DCGM_FIELDS,
    alert_files,
    dashboards,
    dcgm_fields,
)
from infra.settings.service_settings import MonitoringSettings
from mlp.engine.values import Secret
from tests.builders import deploy, inputs_of, wanted
from tests.infra.builders import CLUSTER, environment

REPOSITORY = Path(__file__).resolve().parents[3]
RELEASE = "kubernetes:helm.sh/v3:Release"
EXTERNAL_SECRET = "kubernetes:external-secrets.io/v1:ExternalSecret"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
TOPIC = "arn:aws:sns:us-east-1:123456789012:alerts"
SLACK = "arn:aws:secretsmanager:us-east-1:123456789012:secret:slack"


def deploy_monitoring(*, domain=None, load_balancer=(), slack=None, deletable=False, airflow=True, **settings):
    def declare():
        made = monitoring.Monitoring(
            "monitoring",
            monitoring.MonitoringArgs(
                environment=environment(deletable=deletable),
                cluster=replace(CLUSTER, domain=domain, load_balancer=load_balancer),
                settings=MonitoringSettings(slack_secret_arn=slack, **settings),
                alert_topic_arn=pulumi.Output.from_input(TOPIC),
                alertmanager_role_arn="arn:aws:iam::123456789012:role/alertmanager",
                grafana_role_arn="arn:aws:iam::123456789012:role/grafana",
                training_namespace="training",
                airflow=airflow,
            ),
        )
        pulumi.export("url", made.url)

    return deploy(declare)


def stack_of(deployment):
    return inputs_of(deployment, RELEASE)["monitoring-release"]


def policies_of(deployment):
    return {
        (one["metadata"]["namespace"], one["metadata"]["name"]): one["spec"]
        for one in inputs_of(deployment, POLICY).values()
    }


def containers_of(values):
    """Every mapping with resources in the values of a release, by its path."""
    if isinstance(values, dict):
        for key, value in values.items():
            if key == "resources" and isinstance(value, dict) and "limits" in value:
                yield values["resources"]
            else:
                yield from containers_of(value)


def test_the_charts_are_the_pinned_ones_under_the_names_that_others_know():
    releases = inputs_of(deploy_monitoring(), RELEASE)
    assert {(one["chart"], one["version"], one["name"], one["namespace"]) for one in releases.values()} == {
        (charts.PROMETHEUS_STACK.name, charts.PROMETHEUS_STACK.version, "monitoring", "monitoring"),
        (charts.DCGM_EXPORTER.name, charts.DCGM_EXPORTER.version, "dcgm-exporter", "node-monitoring"),
    }


def test_the_operators_kinds_come_from_elsewhere_and_monitors_of_all_are_seen():
    values = stack_of(deploy_monitoring())["values"]
    assert values["crds"] == {"enabled": False}
    spec = values["prometheus"]["prometheusSpec"]
    selectors = [key for key in spec if key.endswith("SelectorNilUsesHelmValues")]
    assert {"serviceMonitor", "podMonitor", "rule"} <= {
        key.removesuffix("SelectorNilUsesHelmValues") for key in selectors
    }
    assert not any(spec[key] for key in selectors)


def test_what_eks_hides_is_neither_asked_for_nor_missed():
    values = stack_of(deploy_monitoring())["values"]
    for part in ("kubeControllerManager", "kubeScheduler", "kubeEtcd", "kubeProxy", "kubeApiServer"):
        assert values[part] == {"enabled": False}
    assert not any(values["defaultRules"]["rules"].values())


def test_metrics_are_kept_as_long_and_as_large_as_the_settings_say():
    values = stack_of(deploy_monitoring(retention_days=3, storage_gib=10))["values"]
    spec = values["prometheus"]["prometheusSpec"]
    claim = spec["storageSpec"]["volumeClaimTemplate"]["spec"]
    assert (spec["retention"], spec["retentionSize"]) == ("3d", "8GB")
    assert claim["resources"] == {"requests": {"storage": "10Gi"}}
    assert claim["storageClassName"] == "gp3"


def test_two_alertmanagers_never_go_at_once_and_one_may():
    two = stack_of(deploy_monitoring(replicas=2))["values"]["alertmanager"]
    one = stack_of(deploy_monitoring(replicas=1))["values"]["alertmanager"]
    assert (two["alertmanagerSpec"]["replicas"], two["podDisruptionBudget"]["enabled"]) == (2, True)
    assert (one["alertmanagerSpec"]["replicas"], one["podDisruptionBudget"]["enabled"]) == (1, False)


def test_alertmanager_publishes_with_the_role_that_it_was_handed():
    account = stack_of(deploy_monitoring())["values"]["alertmanager"]["serviceAccount"]
    assert account == {
        "name": monitoring.ALERTMANAGER_ACCOUNT.name,
        "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/alertmanager"},
    }
    [grant] = publish_access(TOPIC)
    assert (grant.actions, grant.resources) == (("sns:Publish",), (TOPIC,))


def test_grafana_asks_cloudwatch_with_the_role_that_it_was_handed_and_that_may_do_no_more():
    grafana = stack_of(deploy_monitoring())["values"]["grafana"]
    assert grafana["serviceAccount"] == {
        "name": monitoring.GRAFANA_ACCOUNT.name,
        "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/grafana"},
    }
    [source] = grafana["additionalDataSources"]
    assert (source["type"], source["uid"]) == ("cloudwatch", "cloudwatch")
    assert source["jsonData"] == {"authType": "default", "defaultRegion": "us-east-1"}
    [grant] = metrics.cloudwatch_access("us-east-1")
    assert all(re.fullmatch("cloudwatch:(Get|List)[A-Za-z]+", action) for action in grant.actions)
    [condition] = grant.conditions
    assert (condition.key, condition.values) == ("aws:RequestedRegion", ("us-east-1",))


def test_grafana_replaces_none_of_its_plugins_on_a_disk_that_it_cannot_write():
    grafana = stack_of(deploy_monitoring())["values"]["grafana"]
    assert grafana["containerSecurityContext"]["readOnlyRootFilesystem"]
    assert grafana["grafana.ini"]["plugins"]["preinstall_disabled"] is True


def test_grafanas_password_is_a_secret_and_no_value():
    deployment = deploy_monitoring()
    release = wanted(deployment, RELEASE)["monitoring-release"]
    [password] = deployment.of_type("random:index/randomPassword:RandomPassword")
    assert isinstance(password.created.outputs["result"], Secret)
    assert password.created.outputs["result"].value not in str(release.inputs)
    secret = inputs_of(deployment, EXTERNAL_SECRET)["monitoring-grafana-admin"]
    grafana = release.inputs["values"]["grafana"]
    assert grafana["admin"]["existingSecret"] == secret["spec"]["target"]["name"]
    assert {grafana["admin"]["userKey"], grafana["admin"]["passwordKey"]} == {
        one["secretKey"] for one in secret["spec"]["data"]
    }
    assert not grafana["grafana.ini"]["auth.anonymous"]["enabled"]


def test_the_release_waits_for_its_secrets():
    deployment = deploy_monitoring(slack=SLACK)
    release = wanted(deployment, RELEASE)["monitoring-release"]
    secrets = wanted(deployment, EXTERNAL_SECRET)
    assert set(secrets) == {"monitoring-grafana-admin", "monitoring-alertmanager-slack"}
    assert {one.urn for one in secrets.values()} <= set(release.dependencies)


def test_the_secret_is_read_once_it_has_a_value():
    deployment = deploy_monitoring()
    [version] = wanted(deployment, "aws:secretsmanager/secretVersion:SecretVersion").values()
    assert version.urn in wanted(deployment, EXTERNAL_SECRET)["monitoring-grafana-admin"].dependencies


@pytest.mark.parametrize(("deletable", "days"), [(True, 0), (False, 30)])
def test_a_login_can_be_recovered_where_data_is_protected(deletable, days):
    [secret] = inputs_of(deploy_monitoring(deletable=deletable), "aws:secretsmanager/secret:Secret").values()
    assert secret["recoveryWindowInDays"] == days


def test_with_a_domain_grafana_knows_its_public_address():
    deployment = deploy_monitoring(domain="ml.example.com")
    ini = stack_of(deployment)["values"]["grafana"]["grafana.ini"]
    assert ini["server"]["root_url"] == "https://grafana.ml.example.com"
    assert deployment.outputs["url"] == "http://monitoring-grafana.monitoring.svc.cluster.local"
    assert ini["security"]["cookie_secure"]


def test_without_a_domain_grafana_is_reached_inside_the_cluster():
    deployment = deploy_monitoring()
    assert deployment.outputs["url"] == "http://monitoring-grafana.monitoring.svc.cluster.local"
    assert not stack_of(deployment)["values"]["grafana"]["grafana.ini"]["security"]["cookie_secure"]


def test_the_load_balancer_reaches_grafana_and_nothing_else():
    outside = Peer(cidr=IPv4Network("10.0.0.0/24"))
    policies = policies_of(deploy_monitoring(domain="ml.example.com", load_balancer=(outside,)))
    policy = policies["monitoring", "admit-grafana"]
    assert policy["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "grafana"}
    assert policy["ingress"] == [{"from": [outside.as_rule()], "ports": [{"protocol": "TCP", "port": 3000}]}]
    assert {name for namespace, name in policies if namespace == "monitoring"} == {
        "within-the-namespace",
        "admit-grafana",
    }


def test_without_a_load_balancer_nobody_outside_reaches_the_namespace():
    policies = policies_of(deploy_monitoring())
    assert {name for namespace, name in policies if namespace == "monitoring"} == {"within-the-namespace"}


def test_only_what_looks_at_nodes_runs_where_that_is_allowed():
    deployment = deploy_monitoring()
    levels = {
        one["metadata"]["name"]: one["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for one in inputs_of(deployment, "kubernetes:core/v1:Namespace").values()
    }
    assert levels == {"monitoring": "restricted", "node-monitoring": "privileged"}
    assert stack_of(deployment)["values"]["prometheus-node-exporter"]["namespaceOverride"] == "node-monitoring"
    policy = policies_of(deployment)["node-monitoring", "admit-prometheus"]
    assert policy["ingress"][0]["from"] == [Peer(namespace="monitoring").as_rule()]


def test_the_gpu_exporter_goes_where_gpus_are_without_more_rights_than_it_needs():
    values = inputs_of(deploy_monitoring(), RELEASE)["monitoring-gpus"]["values"]
    assert values["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert values["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert values["securityContext"]["capabilities"] == {"add": [], "drop": ["ALL"]}
    assert values["resources"]["limits"]["memory"] == "1Gi"


def test_the_gpu_exporter_reads_what_needs_no_special_rights_and_what_is_asked_for():
    lines = dcgm_fields().splitlines()
    assert [line.split(", ")[0] for line in lines] == list(DCGM_FIELDS)
    assert not any(field.startswith("DCGM_FI_PROF_") for field in DCGM_FIELDS)
    assert all(re.fullmatch(r"[A-Z0-9_]+, (gauge|counter), [^,]+", line) for line in lines)


@pytest.mark.parametrize("replicas", [1, 2])
def test_every_container_asks_for_what_it_needs_and_has_a_bound_of_memory(replicas):
    for release in inputs_of(deploy_monitoring(replicas=replicas), RELEASE).values():
        found = list(containers_of(release["values"]))
        assert found
        for resources in found:
            assert {"cpu", "memory"} <= set(resources["requests"])
            assert "memory" in resources["limits"]


def test_nothing_is_exposed_by_the_chart_itself():
    values = str(stack_of(deploy_monitoring(domain="ml.example.com"))["values"])
    assert "ingress" not in values
    assert "LoadBalancer" not in values


def test_every_file_of_rules_and_every_dashboard_is_brought_into_the_cluster():
    deployment = deploy_monitoring()
    rules = inputs_of(deployment, "kubernetes:monitoring.coreos.com/v1:PrometheusRule")
    assert {one["metadata"]["name"]: one["spec"] for one in rules.values()} == alert_files()
    maps = inputs_of(deployment, CONFIG_MAP)
    shown = {name: json.loads(text) for one in maps.values() for name, text in one["data"].items()}
    expected = dashboards({"database": "ml-platform-test"})
    assert shown == {f"{name}.json": dashboard for name, dashboard in expected.items()}
    assert all(one["metadata"]["labels"] == {"grafana_dashboard": "1"} for one in maps.values())


def test_training_and_ray_are_asked_for_metrics_where_they_run():
    monitors = inputs_of(deploy_monitoring(), "kubernetes:monitoring.coreos.com/v1:PodMonitor").values()
    assert [one["spec"]["namespaceSelector"] for one in monitors] == 2 * [{"matchNames": ["training"]}]
    ports = {
        one["metadata"]["name"]: [endpoint["port"] for endpoint in one["spec"]["podMetricsEndpoints"]]
        for one in monitors
    }
    assert ports == {"training": ["metrics"], metrics.RUNS_MONITOR: ["train-metrics"]}


def test_the_alert_on_targets_is_ours_and_leaves_out_the_ports_of_runs():
    deployment = deploy_monitoring()
    assert stack_of(deployment)["values"]["defaultRules"]["disabled"]["TargetDown"] is True
    [rule] = alert_files()["targets"]["groups"][0]["rules"]
    assert rule["alert"] == "TargetDown"
    # Prometheus' operator names a monitor's targets <namespace>/<name>.
    assert rule["expr"].count(f'job!="{monitoring.NAMESPACE}/{metrics.RUNS_MONITOR}"') == 2


def test_slack_is_told_too_once_there_is_a_webhook_which_no_value_holds():
    deployment = deploy_monitoring(slack=SLACK)
    alertmanager = stack_of(deployment)["values"]["alertmanager"]
    secret = inputs_of(deployment, EXTERNAL_SECRET)["monitoring-alertmanager-slack"]
    name = secret["spec"]["target"]["name"]
    assert alertmanager["alertmanagerSpec"]["secrets"] == [name]
    [people] = [one for one in alertmanager["config"]["receivers"] if one["name"] == PEOPLE]
    [slack] = people["slack_configs"]
    [url] = [one for one in secret["spec"]["data"] if one["remoteRef"] == {"key": SLACK, "property": "url"}]
    assert slack["api_url_file"] == f"/etc/alertmanager/secrets/{name}/{url['secretKey']}"
    assert {one["topic_arn"] for one in people["sns_configs"]} == {TOPIC}

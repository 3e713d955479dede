"""Which pods make room for which: every pod of the platform has a class, or a training job would push it out."""

import pytest

from mlp.engine.values import revealed
from tests.builders import planned_with_airflow

RELEASE = "kubernetes:helm.sh/v3:Release"
SERVICE, SYSTEM = "platform-service", "platform-system"
CLASSES = {
    "airflow": {
        "apiServer": SERVICE,
        "dagProcessor": SERVICE,
        "scheduler": SERVICE,
        "statsd": SERVICE,
        "triggerer": SERVICE,
    },
    "aws-load-balancer-controller": {},
    "cluster-autoscaler": {},
    "dcgm-exporter": {"": SYSTEM},
    "external-secrets": {"": SYSTEM, "certController": SYSTEM, "webhook": SYSTEM},
    "kube-prometheus-stack": {
        "alertmanager.alertmanagerSpec": SYSTEM,
        "grafana": SERVICE,
        "kube-state-metrics": SERVICE,
        "prometheus-node-exporter": SYSTEM,
        "prometheus.prometheusSpec": SERVICE,
        "prometheusOperator": SYSTEM,
    },
    "kuberay-operator": {"": SYSTEM},
    "mlflow": {"": SERVICE},
    "nvidia-device-plugin": {},
    "prometheus-operator-crds": {},
}
"""By chart, where in its values each of its pods gets its class."""
CRITICAL_BY_DEFAULT = {"aws-load-balancer-controller", "cluster-autoscaler", "nvidia-device-plugin"}
"""Charts whose own default is one of Kubernetes' system classes, which we leave."""


def value_at(values, path):
    for key in path.split(".") if path else ():
        values = values[key]
    return values["priorityClassName"]


@pytest.fixture(scope="module")
def releases():
    platform = planned_with_airflow("prod")[0]
    return {one.wanted.inputs["chart"]: revealed(one.wanted.inputs)["values"] for one in platform.of_type(RELEASE)}


def test_every_chart_is_in_the_table(releases):
    assert set(releases) == set(CLASSES)


def test_a_chart_without_a_class_has_no_pods_or_a_critical_one_of_its_own(releases):
    without = {chart for chart, classes in CLASSES.items() if not classes}
    assert without - {"prometheus-operator-crds"} == CRITICAL_BY_DEFAULT
    assert not [chart for chart in CRITICAL_BY_DEFAULT if "priorityClassName" in releases[chart]]


@pytest.mark.parametrize("chart", CLASSES)
def test_every_pod_of_a_chart_has_its_class(releases, chart):
    assert {path: value_at(releases[chart], path) for path in CLASSES[chart]} == CLASSES[chart]


def test_every_pod_of_a_training_job_gives_way_to_the_platforms():
    spec = planned_with_airflow("prod")[1].outputs["training_job"]["spec"]
    cluster = spec["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    templates = [spec["submitterPodTemplate"], *(group["template"] for group in groups)]
    assert [one["spec"]["priorityClassName"] for one in templates] == 3 * ["training"]


def test_the_operator_of_ray_is_not_held_to_the_charts_tenth_of_a_processor(releases):
    assert releases["kuberay-operator"]["resources"]["limits"]["cpu"] == "2"

"""Which pods make room for which: each has a class and requests, or a training job pushes out what all work needs."""

import importlib.util
from collections.abc import Mapping

import pytest

from mlp.charts import rendering, yaml_text
from mlp.charts.check import RELEASE, releases_of
from mlp.charts.store import find_store
from mlp.charts.values import merged
from mlp.engine.values import revealed
from mlp.review.capacity.chart_pods import CHARTS, release_manifests
from tests.builders import planned_with_airflow
from tests.mlp.charts.pod_security import manifests_in, pod_specs

STORE = find_store()
TRAINING, SERVICE, SYSTEM = "training", "platform-service", "platform-system"
CHARTS_OWN = "system-node-critical", "system-cluster-critical"
"""Classes of Kubernetes' own, above all of ours: the default of three charts, which we leave."""
CLASSES: Mapping[str, Mapping[str, tuple[str, str | tuple[str, ...]]]] = {
    "airflow": {
        "-api-server": ("apiServer", SERVICE),
        "-dag-processor": ("dagProcessor", SERVICE),
        "-database-cleanup": ("databaseCleanup", SERVICE),
        "-scheduler": ("scheduler", SERVICE),
        "-statsd": ("statsd", SERVICE),
        "-triggerer": ("triggerer", SERVICE),
        "-worker": ("workers.kubernetes", TRAINING),
    },
    "aws-load-balancer-controller": {"": ("", CHARTS_OWN)},
    "cluster-autoscaler": {"-aws-cluster-autoscaler": ("", CHARTS_OWN)},
    "dcgm-exporter": {"": ("", SYSTEM)},
    "external-secrets": {
        "": ("", SYSTEM),
        "-cert-controller": ("certController", SYSTEM),
        "-webhook": ("webhook", SYSTEM),
    },
    "kube-prometheus-stack": {
        "-grafana": ("grafana", SERVICE),
        "-kube-prometheus-alertmanager": ("alertmanager.alertmanagerSpec", SYSTEM),
        "-kube-prometheus-operator": ("prometheusOperator", SYSTEM),
        "-kube-prometheus-prometheus": ("prometheus.prometheusSpec", SERVICE),
        "-kube-state-metrics": ("kube-state-metrics", SERVICE),
        "-prometheus-node-exporter": ("prometheus-node-exporter", SYSTEM),
    },
    "kuberay-operator": {"": ("", SYSTEM)},
    "mlflow": {"": ("", SERVICE)},
    "nvidia-device-plugin": {"": ("", CHARTS_OWN), "-mps-control-daemon": ("", CHARTS_OWN)},
    "prometheus-operator-crds": {},
}
"""By chart, the pods by the ends of their names: the part of the values that holds the class, and the class."""


@pytest.fixture(scope="module", params=["dev", "prod"])
def deployments(request):
    return planned_with_airflow(request.param)


def pods_of(release):
    """The parts of manifests that the table of capacity knows, by the ends of their names."""
    found = release_manifests(name=release.name, namespace=release.namespace, chart=release.chart, values=release.shown)
    return {one["metadata"]["name"].removeprefix(release.name): one for one in found}


def without_requests(spec):
    """The containers whose processor or memory nobody reserves."""
    for one in (*(spec.get("initContainers") or ()), *spec["containers"]):
        resources = one.get("resources") or {}
        wanted = {*(resources.get("requests") or {}), *(resources.get("limits") or {})}
        if not {"cpu", "memory"} <= wanted:
            yield one["name"]


def test_every_pod_of_every_chart_is_in_the_table(deployments):
    releases = {one.chart: one for one in releases_of(deployments)}
    assert {chart: set(pods_of(one)) for chart, one in releases.items()} == {
        chart: set(pods) for chart, pods in CLASSES.items()
    }


def test_every_pod_of_a_chart_has_its_class(deployments):
    for release in releases_of(deployments):
        for path, expected in CLASSES[release.chart].values():
            part = release.shown
            for key in path.split(".") if path else ():
                part = part[key]
            found = part.get("priorityClassName", CHARTS_OWN)
            assert found == expected, f"{release.chart}: {path}"


def test_every_container_of_a_chart_has_requests(deployments):
    missing = {
        f"{release.chart}{end}: {container}"
        for release in releases_of(deployments)
        for end, manifest in pods_of(release).items()
        for spec in pod_specs(manifest)
        for container in without_requests(spec)
    }
    assert missing == set()


def test_every_pod_that_a_program_writes_has_a_class_and_requests(deployments):
    looked_at = 0
    for deployment in deployments:
        parts = [revealed(one.wanted.inputs) for one in deployment.resources.values() if one.wanted.type != RELEASE]
        for manifest in (found for part in [*parts, revealed(deployment.outputs)] for found in manifests_in(part)):
            # A ConfigMap only carries the manifest of a RayJob, which is among the outputs.
            for spec in pod_specs(manifest) if manifest["kind"] != "ConfigMap" else ():
                looked_at += 1
                expected = {TRAINING} if manifest["kind"] == "RayJob" else {SERVICE, SYSTEM}
                assert spec.get("priorityClassName") in expected, manifest["metadata"]
                assert list(without_requests(spec)) == [], manifest["metadata"]
    assert looked_at >= 5


def test_the_operator_of_ray_is_not_held_to_the_charts_tenth_of_a_processor(deployments):
    [operator] = [one.shown for one in releases_of(deployments) if one.chart == "kuberay-operator"]
    assert merged(operator, CHARTS["kuberay-operator"].defaults)["resources"]["limits"]["cpu"] == "2"


def rendered_classes(release, kubernetes_version):
    """The class of each pod that the chart renders, those of operators' objects and of Airflow's tasks included."""
    archive = STORE.archive(release.chart, release.version)
    assert archive
    cluster = rendering.Cluster(kubernetes_version=kubernetes_version)
    for text in rendering.find_renderer()(archive, release, cluster):
        if text.path.endswith(".md"):
            continue
        for one in yaml_text.documents(text.text):
            name = one["metadata"]["name"].removeprefix(release.name) if one.get("metadata") else ""
            if one["kind"] in ("Prometheus", "Alertmanager"):
                yield name, one["spec"]["priorityClassName"]
            elif "pod_template_file.yaml" in (one.get("data") or {}):
                yield "-worker", yaml_text.mapping(one["data"]["pod_template_file.yaml"])["spec"]["priorityClassName"]
            else:
                yield from ((name, spec.get("priorityClassName")) for spec in pod_specs(one))


@pytest.mark.skipif(
    not importlib.util.find_spec(rendering.SDK) or not any(STORE.folder.glob("*/*.tgz")),
    reason=f"no chart archives (`mlp charts pull` gets them), or nothing to render with: {rendering.HOW_TO_INSTALL}",
)
def test_what_charts_render_has_the_classes_of_the_table(deployments):
    version = rendering.kubernetes_version(deployments)
    for release in releases_of(deployments):
        if STORE.archive(release.chart, release.version) is None:
            continue
        found = dict(rendered_classes(release, version))
        assert set(found) == set(CLASSES[release.chart]), release.chart
        for end, (_, expected) in CLASSES[release.chart].items():
            assert found[end] in (expected if isinstance(expected, tuple) else (expected,)), f"{release.chart}{end}"

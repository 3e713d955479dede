"""The table of charts' pods against the charts themselves: their values, and what they render to."""

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from mlp.charts import rendering, yaml_text
from mlp.charts.check import releases_of
from mlp.charts.store import find_store
from mlp.review.capacity.chart_pods import CHARTS, release_manifests
from mlp.review.capacity.pods import manifest_workloads
from tests.builders import planned_with_airflow

STORE = find_store()
needs_chart_data = pytest.mark.skipif(
    not STORE.names(),
    reason="no chart data: `mlp charts pull` gets it, or ML_PLATFORM_CHARTS names a folder that has it",
)
needs_rendering = pytest.mark.skipif(
    not importlib.util.find_spec(rendering.SDK) or not any(STORE.folder.glob("*/*.tgz")),
    reason=f"no chart archives (`mlp charts pull` gets them), or nothing to render with: {rendering.HOW_TO_INSTALL}",
)


def paths(values, above=()):
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from paths(value, (*above, key))
        else:
            yield (*above, key), value


def chart_default(data, path):
    """The value of a chart's own at `path`; a part that is a chart of its own has its values there."""

    def at(value, path):
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    found = at(data.values, path)
    part = data.subcharts.get(path[0])
    return at(part.values, path[1:]) if found is None and part else found


@needs_chart_data
@pytest.mark.parametrize("chart", sorted(CHARTS))
def test_the_tables_defaults_are_the_charts_own(chart):
    data = STORE.chart(chart)
    if data is None:
        pytest.skip(f"no data of chart {chart}: `mlp charts pull {chart}` gets it")
    complete = {one.name for one in data.dependencies} <= set(data.subcharts)
    for path, value in paths(CHARTS[chart].defaults):
        found = chart_default(data, path)
        if found is None and not complete:
            continue  # a sub-chart's, of which the folder has no data
        assert found == value, f"{chart}: {'.'.join(path)}"


RELOADER_FLAG = r"--config-reloader-(cpu|memory)-request=(\S+)"
"""Option of the operator with the requests of the containers that it adds."""


def as_pods(manifests):
    return {
        one.name: (one.replicas, one.runs, one.pod)
        for manifest in manifests
        for one in manifest_workloads(manifest, source="") or ()
    }


def rendered_manifests(release, stack):
    """What the chart renders to, in the form that the operators and the autoscaler make of it."""
    archive = STORE.archive(release.chart, release.version)
    assert archive
    cluster = rendering.Cluster(kubernetes_version=rendering.kubernetes_version(planned_with_airflow(stack)))
    texts = [one.text for one in rendering.find_renderer()(archive, release, cluster)]
    found: list[Any] = []
    for one in (document for text in texts for document in yaml_text.documents(text)):
        found += one.get("items") or [] if one["kind"] == "List" else [one]
    fewest = {
        one["spec"]["scaleTargetRef"]["name"]: one["spec"]["minReplicas"]
        for one in found
        if one["kind"] == "HorizontalPodAutoscaler"
    }
    reloader = {"resources": {"requests": dict(re.findall(RELOADER_FLAG, "".join(texts)))}}
    for manifest in found:
        manifest["metadata"].setdefault("namespace", release.namespace)
        name, spec = manifest["metadata"]["name"], manifest.get("spec")
        if manifest["kind"] in ("Prometheus", "Alertmanager"):
            main = {"resources": {"requests": spec["resources"]["requests"]}}
            manifest["kind"] = "StatefulSet"
            manifest["spec"] = {
                "replicas": spec["replicas"],
                "template": {"spec": {**spec, "containers": [main, reloader], "initContainers": [reloader]}},
            }
        elif manifest["kind"] == "Deployment" and name in fewest:
            spec["replicas"] = fewest[name]
        elif manifest["kind"] == "ConfigMap" and "pod_template_file.yaml" in manifest.get("data", {}):
            template = yaml.safe_load(manifest["data"]["pod_template_file.yaml"])
            yield {
                "kind": "CronJob",
                "metadata": {"name": f"{release.name}-worker", "namespace": release.namespace},
                "spec": {"jobTemplate": {"spec": {"template": template}}},
            }
        yield manifest


def without_labels(pods):
    return {name: (*rest, {**vars(pod), "labels": None}) for name, (*rest, pod) in pods.items()}


def compare(release, stack):
    table = as_pods(
        release_manifests(name=release.name, namespace=release.namespace, chart=release.chart, values=release.shown)
    )
    chart = as_pods(rendered_manifests(release, stack))
    assert without_labels(table) == without_labels(chart), release.name
    assert table or release.chart == "prometheus-operator-crds"
    for name, (*_, pod) in table.items():
        if chart[name][-1].labels:  # the operator gives its pods theirs
            assert pod.labels.items() <= chart[name][-1].labels.items(), name


@needs_rendering
@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_each_release_starts_the_pods_that_the_table_says(stack):
    releases = releases_of(planned_with_airflow(stack))
    assert {one.chart for one in releases} <= set(CHARTS)
    for release in releases:
        compare(release, stack)


GIT_SYNC = {"enabled": True, "repo": "https://example.com/d.git", "resources": {"requests": {"memory": "700Mi"}}}


@needs_rendering
@pytest.mark.parametrize(
    ("chart", "values"),
    [
        ("airflow", {"dags": {"gitSync": GIT_SYNC}, "scheduler": {"logGroomerSidecar": {"enabled": True}}}),
        ("airflow", {"nodeSelector": {"a": "b"}, "triggerer": {"replicas": 3, "nodeSelector": {"c": "d"}}}),
        ("aws-load-balancer-controller", {"replicaCount": None, "tolerations": [{"operator": "Exists"}]}),
        ("kube-prometheus-stack", {"grafana": {"sidecar": {"dashboards": {"enabled": False}}, "replicas": 2}}),
        ("mlflow", {"backendStore": {"databaseMigration": False}, "replicaCount": 3}),
        ("mlflow", {"autoscaling": {"enabled": True, "minReplicas": 4}}),
        ("nvidia-device-plugin", {"tolerations": None, "nodeSelector": None}),
    ],
    ids=["git", "placement", "defaults", "sidecars", "no migration", "autoscaler", "device plugin"],
)
def test_the_table_follows_values_that_no_stack_sets_now(chart, values):
    [release] = [one for one in releases_of(planned_with_airflow("dev")) if one.chart == chart]
    compare(replace(release, shown=merged_values(values, release.shown)), "dev")


@needs_rendering
def test_replicas_of_prometheus_that_must_stand_apart_do_so_in_the_table():
    [release] = [one for one in releases_of(planned_with_airflow("prod")) if one.chart == "kube-prometheus-stack"]
    hard = {"alertmanager": {"alertmanagerSpec": {"podAntiAffinity": "hard"}}}
    values = merged_values(hard, release.shown)
    table = as_pods(
        release_manifests(name=release.name, namespace=release.namespace, chart=release.chart, values=values)
    )
    chart = as_pods(rendered_manifests(replace(release, shown=values), "prod"))
    name = "StatefulSet monitoring/monitoring-kube-prometheus-alertmanager"
    [[rule], [charts_own]] = [pods[name][-1].anti_affinity for pods in (table, chart)]
    assert rule.topology == charts_own.topology == "topology.kubernetes.io/zone"
    assert rule.matches(table[name][-1], "monitoring")


def merged_values(values, below):
    """`values` over `below`; None stays, since it takes away a default of the chart."""
    result = dict(below)
    for key, value in values.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged_values(value, result[key]) if nested else value
    return result

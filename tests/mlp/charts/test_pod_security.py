"""Pods against the security level of their namespace: those of charts by their values, and as charts render them."""

import importlib.util

import pytest

from mlp.charts import rendering, yaml_text
from mlp.charts.check import RELEASE, releases_of
from mlp.charts.store import find_store
from mlp.charts.values import merged
from mlp.engine.values import revealed
from tests.builders import planned_with_airflow
from tests.mlp.charts.pod_security import (
    CHARTS,
    OF_THE_OPERATOR,
    manifests_in,
    pod_specs,
    pods_of_release,
    users_by_name,
    violations,
)

STORE = find_store()
SAFE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(*, of_the_pod=None, without=(), volumes=(), ports=(), host=None, **context):
    kept = {key: value for key, value in SAFE.items() if key not in without}
    container = {"name": "main", "securityContext": {**kept, **context}, "ports": list(ports)}
    return {"containers": [container], "securityContext": of_the_pod, "volumes": list(volumes), **(host or {})}


@pytest.mark.parametrize(
    ("spec", "baseline", "restricted"),
    [
        (pod(), [], []),
        (pod(without=["runAsNonRoot"], of_the_pod={"runAsNonRoot": True}), [], []),
        (pod(without=["runAsNonRoot"]), [], ["main: runAsNonRoot is not true"]),
        (pod(runAsNonRoot=False, of_the_pod={"runAsNonRoot": True}), [], ["main: runAsNonRoot is not true"]),
        (pod(runAsUser=0), [], ["main: runAsUser 0"]),
        (pod(without=["seccompProfile"], of_the_pod={"seccompProfile": {"type": "Localhost"}}), [], []),
        (pod(without=["seccompProfile"]), [], ["main: no seccompProfile"]),
        (pod(without=["allowPrivilegeEscalation"]), [], ["main: allowPrivilegeEscalation is not false"]),
        (pod(capabilities={"drop": ["NET_RAW"]}), [], ["main: capabilities are not dropped"]),
        (pod(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}), [], []),
        (pod(capabilities={"drop": ["ALL"], "add": ["CHOWN"]}), [], ["main: capabilities are added"]),
        (pod(volumes=[{"name": "a", "emptyDir": {}}]), [], []),
        (pod(volumes=[{"name": "a", "nfs": {}}]), [], ["pod: volume nfs"]),
        (pod(volumes=[{"name": "a", "hostPath": {"path": "/"}}]), ["pod: hostPath /"], ["pod: volume hostPath"]),
        (pod(host={"hostNetwork": True}), ["pod: hostNetwork"], []),
        (pod(privileged=True), ["main: privileged"], []),
        (pod(ports=[{"hostPort": 80}]), ["main: hostPort"], []),
        (
            pod(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
            ["main: capabilities SYS_ADMIN"],
            ["main: capabilities are added"],
        ),
        (
            pod(seccompProfile={"type": "Unconfined"}),
            ["main: seccompProfile Unconfined"],
            ["main: no seccompProfile"],
        ),
    ],
)
def test_each_level_forbids_what_the_standards_say(spec, baseline, restricted):
    assert violations(spec, "privileged") == []
    assert violations(spec, "baseline") == baseline
    assert violations(spec, "restricted") == baseline + restricted


@pytest.mark.parametrize(
    ("context", "of_the_pod", "named"),
    [
        ({"runAsNonRoot": True}, None, ["main"]),
        ({"runAsNonRoot": True, "runAsUser": 1000}, None, []),
        ({"runAsNonRoot": True}, {"runAsUser": 1000}, []),
        ({"runAsNonRoot": False}, {"runAsNonRoot": True}, []),
        ({}, {"runAsNonRoot": True, "fsGroup": 1000}, ["main"]),
    ],
)
def test_a_container_that_must_not_be_root_has_a_user_id(context, of_the_pod, named):
    spec = pod(without=["runAsNonRoot"], of_the_pod=of_the_pod, **context)
    assert users_by_name(spec) == named


def levels(deployments):
    """The level that each namespace enforces; those of Kubernetes' own enforce none."""
    found = {"kube-system": "privileged"}
    for deployment in deployments:
        for one in deployment.of_type("kubernetes:core/v1:Namespace"):
            metadata = one.wanted.inputs["metadata"]
            [level] = {
                metadata["labels"][f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")
            }
            found[metadata["name"]] = level
    return found


def faults(manifests, levels_of):
    """Every fault, by the pods that have it; with none, how many pods were looked at."""
    found, looked_at = {}, 0
    for manifest in manifests:
        metadata = manifest["metadata"]
        for spec in pod_specs(manifest):
            looked_at += 1
            by_name = [f"{one}: runAsNonRoot without runAsUser" for one in users_by_name(spec)]
            if wrong := violations(spec, levels_of[metadata["namespace"]]) + by_name:
                found[f"{metadata['namespace']}/{metadata.get('name') or metadata['generateName']}"] = wrong
    return found or looked_at


@pytest.fixture(scope="module", params=["dev", "prod"])
def deployments(request):
    return planned_with_airflow(request.param)


def test_the_pods_of_every_release_keep_to_the_level_of_their_namespace(deployments):
    confined = {name for name, level in levels(deployments).items() if level != "privileged"}
    releases = [one for one in releases_of(deployments) if one.namespace in confined]
    assert {one.chart for one in releases} == set(CHARTS)
    pods = [
        manifest
        for one in releases
        for manifest in pods_of_release(name=one.name, namespace=one.namespace, chart=one.chart, values=one.shown)
    ]
    assert faults(pods, levels(deployments)) == len(pods) > len(releases)


def test_the_pods_that_programs_write_keep_to_the_level_of_their_namespace(deployments):
    written = [
        manifest
        for deployment in deployments
        for one in deployment.resources.values()
        if one.wanted.type.startswith("kubernetes:") and one.wanted.type != RELEASE
        for manifest in manifests_in(revealed(one.wanted.inputs))
        if pod_specs(manifest)
    ]
    # A ConfigMap only carries the manifest of a RayJob, which stands beside it here.
    objects = [one for one in written if one["kind"] != "ConfigMap"]
    assert {one["kind"] for one in objects} == {"Job", "RayJob"}
    assert faults(objects, levels(deployments)) == sum(len(pod_specs(one)) for one in objects)


needs_chart_data = pytest.mark.skipif(
    not STORE.names(),
    reason="no chart data: `mlp charts pull` gets it, or ML_PLATFORM_CHARTS names a folder that has it",
)
needs_rendering = pytest.mark.skipif(
    not importlib.util.find_spec(rendering.SDK) or not any(STORE.folder.glob("*/*.tgz")),
    reason=f"no chart archives (`mlp charts pull` gets them), or nothing to render with: {rendering.HOW_TO_INSTALL}",
)


def chart_default(data, key):
    """The chart's own value; a part that is a chart of its own has its values there."""
    part = data.subcharts.get(key)
    return merged(data.values.get(key) or {}, part.values if part else {})


@needs_chart_data
@pytest.mark.parametrize("chart", sorted(CHARTS))
def test_the_tables_defaults_are_the_charts_own(chart):
    data = STORE.chart(chart)
    if data is None:
        pytest.skip(f"no data of chart {chart}: `mlp charts pull {chart}` gets it")
    absent = {one.name for one in data.dependencies} - set(data.subcharts)
    for key, told in CHARTS[chart].defaults.items():
        if key not in absent | {OF_THE_OPERATOR}:
            found = chart_default(data, key)
            assert merged(told, found) == found, key


def as_pods(manifests):
    """The pods' specs by name; an operator gives the containers that it makes contexts of its own."""
    for one in manifests:
        if one["kind"] in ("Prometheus", "Alertmanager"):
            hardened = CHARTS["kube-prometheus-stack"].defaults[OF_THE_OPERATOR]
            names = ("init-config-reloader", "config-reloader", one["kind"].lower())
            one["spec"]["containers"] = [{"name": name, "securityContext": hardened} for name in names]
        if one["kind"] == "ConfigMap" and "pod_template_file.yaml" in one.get("data", {}):
            release = one["metadata"]["name"].removesuffix("-config")
            yield f"{release}-worker", yaml_text.mapping(one["data"]["pod_template_file.yaml"])["spec"]
        else:
            yield from ((one["metadata"]["name"], spec) for spec in pod_specs(one))


def contexts(spec):
    """The security context of each container, with what it takes from its pod."""
    of_the_pod = spec.get("securityContext") or {}
    return {
        one["name"]: {**of_the_pod, **{key: value for key, value in one["securityContext"].items() if key != "enabled"}}
        for one in (*(spec.get("initContainers") or ()), *spec["containers"])
    }


@needs_rendering
def test_what_charts_render_keeps_to_the_level_of_its_namespace_and_is_what_the_table_says(deployments):
    cluster = rendering.Cluster(kubernetes_version=rendering.kubernetes_version(deployments))
    levels_of = levels(deployments)
    for release in releases_of(deployments):
        archive = STORE.archive(release.chart, release.version)
        if release.chart not in CHARTS or archive is None:
            continue
        texts = rendering.find_renderer()(archive, release, cluster)
        rendered = [one for text in texts for one in yaml_text.documents(text.text)]
        for manifest in rendered:
            manifest["metadata"].setdefault("namespace", release.namespace)
        assert isinstance(faults(rendered, levels_of), int), release.name
        found = dict(as_pods(rendered))
        for manifest in pods_of_release(
            name=release.name, namespace=release.namespace, chart=release.chart, values=release.shown
        ):
            if levels_of[manifest["metadata"]["namespace"]] != "privileged":
                name = manifest["metadata"]["name"]
                told = contexts(manifest["spec"])
                assert {one: contexts(found[name])[one] for one in told} == told

import importlib.util
import json
import os

import pulumi_aws as aws
import pytest
import yaml

from infra.facts.charts import Chart
from infra.facts.kubernetes_versions import ADDON_VERSIONS
from mlp.charts import rendering
from mlp.charts.rendering import Manifest, kubernetes_version, render_by_command, render_by_sdk, render_release, split
from mlp.charts.store import ChartStore
from mlp.shared.errors import PlatformError
from tests.builders import deploy
from tests.mlp.charts.builders import chart_files, helm, planned, stored

needs_sdk = pytest.mark.skipif(
    not importlib.util.find_spec(rendering.SDK), reason=f"Helm's library is not there: {rendering.HOW_TO_INSTALL}"
)
needs_validator = pytest.mark.skipif(
    not importlib.util.find_spec(rendering.VALIDATOR),
    reason=f"kubernetes-validate is not there: {rendering.HOW_TO_INSTALL}",
)


@pytest.fixture
def store(tmp_path):
    return stored(tmp_path / "charts")


def giving(manifests):
    """A renderer that answers with these."""
    return lambda archive, release, cluster: [Manifest(path, text) for path, text in manifests.items()]


CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: b}\n"
WIDGET = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\nspec: {size: 1}\n"


@needs_sdk
def test_a_release_is_rendered_with_its_values_in_its_namespace_for_the_plans_cluster(store):
    rendered = render_release("tiny", [planned({"replicas": 2})], store, render_by_sdk)
    settings, widget = yaml.safe_load_all(rendered.text)
    assert settings["metadata"] == {"name": "tiny-settings", "namespace": "somewhere"}
    assert settings["data"] == {"replicas": "2", "password": "none", "kubernetes": f"v{max(ADDON_VERSIONS)}.0"}
    assert widget["spec"] == {"size": 2}  # there only because the cluster offers the chart's own definition
    assert "Thank you" not in rendered.text
    assert rendered.faults == []


@needs_sdk
def test_secrets_are_not_rendered(store):
    deployment = planned({"settings": {"password": "hunter2"}}, secret="settings")
    text = render_release("tiny", [deployment], store, render_by_sdk).text
    assert "hunter2" not in text
    assert 'password: "[secret]"' in text


@needs_sdk
def test_a_chart_that_does_not_render_is_one_clear_message(tmp_path):
    files = {**chart_files(), "templates/settings.yaml": '{{ fail "the door is shut" }}'}
    with pytest.raises(PlatformError, match=r"tiny 1\.2\.3 does not render with .*the door is shut"):
        render_release("tiny", [planned({})], stored(tmp_path, files=files), render_by_sdk)


@needs_sdk
def test_a_manifest_that_its_definition_refuses_is_a_fault(store):
    rendered = render_release("tiny", [planned({"replicas": 0})], store, render_by_sdk)
    assert rendered.faults == ["tiny/templates/widget.yaml: Widget tiny: spec.size: must keep to minimum 1 (got 0)"]


@needs_validator
@pytest.mark.parametrize(
    ("manifest", "fault"),
    [
        (CONFIG_MAP, None),
        (CONFIG_MAP.replace("\ndata:", "\ndat:"), "Additional properties are not allowed ('dat' was unexpected)"),
        (CONFIG_MAP.replace("{a: b}", "{a: 1}"), "data.a: 1 is not of type"),
        (f"apiVersion: v1\nkind: List\nitems: [{json.dumps(yaml.safe_load(CONFIG_MAP))}]\n", None),
    ],
    ids=["right", "unknown field", "wrong type", "list"],
)
def test_kubernetes_own_objects_are_checked_by_its_schemas(store, manifest, fault):
    rendered = render_release("tiny", [planned({})], store, giving({"tiny/templates/a.yaml": manifest}))
    if fault is None:
        assert (rendered.faults, rendered.unchecked) == ([], [])
    else:
        [told] = rendered.faults
        assert told.startswith("tiny/templates/a.yaml: ConfigMap a: ")
        assert fault in told


@needs_validator
def test_a_kind_without_a_schema_is_not_checked_and_it_is_said(store):
    manifest = "apiVersion: apps/v1\nkind: Wardrobe\nmetadata: {name: a}\n"
    rendered = render_release("tiny", [planned({})], store, giving({"a.yaml": manifest}))
    assert rendered.faults == []
    assert "find schema for kind Wardrobe" in rendered.unchecked[0]


@pytest.mark.parametrize(
    ("manifest", "fault"),
    [
        ("a: [", "a.yaml: it is not YAML"),
        ("just: a mapping", "a.yaml: it has no apiVersion and kind"),
        (WIDGET.replace("size: 1", "size: big"), 'a.yaml: Widget a: spec.size: must be of type integer (got "big")'),
    ],
    ids=["broken", "no kind", "custom"],
)
def test_what_is_no_good_manifest_is_a_fault(store, manifest, fault):
    [told] = render_release("tiny", [planned({})], store, giving({"a.yaml": manifest})).faults
    assert told.startswith(fault)


@pytest.mark.parametrize(
    ("text", "manifests"),
    [
        ("a: 1\n---\nb: 2\n", ["a: 1\n", "b: 2\n"]),
        ("\n---apiVersion: v1\nkind: A\n", ["apiVersion: v1\nkind: A\n"]),
        ("---\n# Source: tiny/templates/a.yaml\na: 1\n", ["a: 1\n"]),
        ("# A licence.\n\n---\n\n", []),
        ("a: |\n  ---x\n", ["a: |\n  ---x\n"]),
    ],
    ids=["two", "no line break", "named", "nothing", "within a text"],
)
def test_manifests_are_split_as_helm_does_it(text, manifests):
    assert split(text) == manifests


def test_a_release_that_the_plan_has_not_is_told_with_those_that_it_has(store):
    with pytest.raises(PlatformError, match="the plan has no release 'toni'; its releases are: tiny"):
        render_release("toni", [planned({})], store)


def test_a_chart_without_an_archive_is_told_with_the_way_to_get_it(tmp_path):
    with pytest.raises(PlatformError, match=r"no archive of tiny 1\.2\.3 in .*; `mlp charts pull tiny` gets it"):
        render_release("tiny", [planned({})], ChartStore(tmp_path))
    old = Chart(name="tiny", version="1.0.0", repository="")
    with pytest.raises(PlatformError, match=r"no archive of tiny 1\.2\.3"):
        render_release("tiny", [planned({})], stored(tmp_path, old))


def test_the_version_is_that_of_the_plans_cluster():
    def declare():
        aws.eks.Cluster("a", role_arn="arn", vpc_config={"subnet_ids": []}, version="1.29")

    assert kubernetes_version([deploy(declare)]) == "1.29"


def test_the_helm_command_renders_where_the_library_is_not(store, tmp_path):
    rendered = render_release("tiny", [planned({"replicas": 2})], store, render_by_command(str(helm(tmp_path))))
    assert rendered.text.startswith("---\n# Source: tiny/templates/a.yaml\n")
    kept = json.loads(yaml.safe_load(rendered.text)["data"]["kept"])
    assert kept["values"] == {"replicas": 2}
    assert " ".join(kept["arguments"]) == (
        f"template tiny --namespace somewhere --values --kube-version {max(ADDON_VERSIONS)} --output-dir "
        "--api-versions example.com/v1 --api-versions example.com/v1/Widget"
    )


def test_what_the_helm_command_says_is_passed_on(store, tmp_path):
    renderer = render_by_command(str(helm(tmp_path, "fails")))
    with pytest.raises(PlatformError, match="does not render with the values of tiny: Error: the door is shut"):
        render_release("tiny", [planned({})], store, renderer)


def test_the_renderer_is_the_library_else_the_command_else_a_word_on_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)
    if importlib.util.find_spec(rendering.SDK):
        assert rendering.find_renderer() is render_by_sdk
    monkeypatch.setattr(rendering, "SDK", "no_library_of_this_name")
    with pytest.raises(PlatformError, match="there is nothing to render with; pip install"):
        rendering.find_renderer()
    monkeypatch.setenv("PATH", str(helm(tmp_path).parent))
    assert rendering.find_renderer() is not render_by_sdk


def test_without_the_validator_it_is_said(store, monkeypatch):
    monkeypatch.setattr(rendering, "VALIDATOR", "no_library_of_this_name")
    rendered = render_release("tiny", [planned({})], store, giving({"a.yaml": CONFIG_MAP, "b.yaml": WIDGET}))
    assert rendered.faults == []
    assert rendered.unchecked == [
        "Kubernetes' own objects, since kubernetes-validate is not installed; pip install 'ml-platform[charts]'"
    ]

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from infra.facts.charts import Chart
from mlp.charts.check import check, redacted
from mlp.charts.store import ChartStore
from mlp.engine.types import TYPES
from mlp.engine.values import ResourceReference, Secret
from mlp.shared.errors import PlatformError
from tests.builders import deploy
from tests.mlp.charts.builders import TINY, Part, chart_files, planned, stored, widget


@pytest.fixture
def store(tmp_path):
    return stored(tmp_path)


@pytest.fixture
def kinds(monkeypatch):
    """Kinds of charts that no program declares."""
    for kind in ("example.com/v1:Widget", "else.example.org/v1:Thing"):
        row = TYPES["kubernetes:monitoring.coreos.com/v1:ServiceMonitor"]
        monkeypatch.setitem(TYPES, f"kubernetes:{kind}", row)


def report_of(store, *deployments, pins=(TINY,)):
    return check(deployments, store, pins)


def test_a_release_whose_values_the_chart_knows_has_no_fault(store):
    report = report_of(store, planned({"replicas": 2, "image": {"tag": "1"}}))
    assert (report.releases, report.faults, report.unchecked) == (1, [], [])


def test_a_value_that_the_chart_does_not_know_is_told_with_its_release(store):
    [fault] = report_of(store, planned({"image": {"tga": "1"}}, name="first")).faults
    assert fault == "release first: image.tga: the chart has no such value; the nearest that it has is image.tag"


@pytest.mark.parametrize(
    ("pins", "fault"),
    [
        ([], "chart tiny is not pinned in infra/facts/charts.py"),
        (
            [Chart(name="tiny", version="1.2.4", repository=TINY.repository)],
            (
                "chart tiny 1.2.3 of https://charts.example.com is not the one pinned in infra/facts/charts.py, "
                "1.2.4 of https://charts.example.com"
            ),
        ),
    ],
)
def test_a_chart_that_is_not_a_pin_is_a_fault(store, pins, fault):
    assert report_of(store, planned({}), pins=pins).faults == [f"release tiny: {fault}"]


def test_data_of_another_version_are_a_fault_and_nothing_is_judged_by_them(tmp_path):
    old = Chart(name="tiny", version="1.0.0", repository=TINY.repository)
    [fault] = report_of(stored(tmp_path, old), planned({"nonsense": 1})).faults
    assert fault == ("release tiny: the data are of tiny 1.0.0, and 1.2.3 is pinned; `mlp charts pull tiny` gets that")


def test_a_chart_without_data_is_not_checked_and_it_is_said_unless_it_is_given_no_values(tmp_path):
    store = stored(tmp_path, Chart(name="other", version="1", repository=""))
    report = report_of(store, planned({"replicas": 1}))
    assert (report.faults, len(report.unchecked)) == ([], 1)
    assert "no data of chart tiny; `mlp charts pull tiny` gets them" in report.unchecked[0]
    assert report_of(store, planned({})).unchecked == []


def test_what_of_a_sub_chart_cannot_be_checked_is_said_in_one_line(tmp_path):
    files = chart_files()
    files["Chart.yaml"] += "dependencies: [{name: sub}]"
    report = report_of(stored(tmp_path, files=files), planned({"sub": {"a": 1, "b": {"c": 2}}}))
    assert report.faults == []
    assert report.unchecked == ["release tiny: sub (2 values): the data lack the sub-chart's defaults"]


def test_without_any_data_it_says_how_to_get_them(tmp_path):
    with pytest.raises(PlatformError, match=r"there is no chart data in .*; `mlp charts pull` gets it"):
        report_of(ChartStore(tmp_path / "none"), planned({}))


def test_values_from_files_are_a_fault_since_they_are_not_looked_at(store):
    def declare():
        kubernetes.helm.v3.Release(
            "tiny",
            name="tiny",
            chart=TINY.name,
            version=TINY.version,
            repository_opts={"repo": TINY.repository},
            value_yaml_files=[pulumi.StringAsset("replicas: 2")],
            opts=pulumi.ResourceOptions(parent=Part()),
        )

    [fault] = report_of(store, deploy(declare)).faults
    assert "it takes values from files, which are not looked at" in fault


def test_a_secret_value_is_checked_and_not_shown(tmp_path):
    files = {**chart_files(), "values.schema.json": '{"properties": {"extra": {"minLength": 20}}}'}
    deployment = planned({"extra": "too short"}, secret="extra")
    [fault] = report_of(stored(tmp_path, files=files), deployment).faults
    assert fault == 'release tiny: extra: must keep to minLength 20 (got "[secret]")'


def test_what_is_secret_keeps_its_form():
    value = {"a": Secret({"b": ["text", 1]}), "c": "shown", "d": ResourceReference("urn", "id")}
    assert redacted(value) == {"a": {"b": ["[secret]", 1]}, "c": "shown", "d": "id"}


@pytest.mark.usefixtures("kinds")
def test_a_custom_resource_is_checked_against_the_definition_of_its_chart(store):
    report = report_of(store, deploy(widget(size=1)))
    assert (report.custom_resources, report.faults) == (1, [])
    [fault] = report_of(store, deploy(widget(size=1, colr="red"))).faults
    assert fault == "Widget one: spec.colr: there is no such field; the nearest there is colour"


def test_an_object_of_kubernetes_itself_is_no_custom_resource(store):
    deployment = deploy(lambda: kubernetes.core.v1.ConfigMap("one", data={"a": "b"}))
    assert report_of(store, deployment).custom_resources == 0


def test_a_custom_resource_among_the_outputs_is_checked_however_deep_it_lies(store):
    thing = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"sise": 1}}
    report = report_of(store, deploy(lambda: pulumi.export("jobs", [{"first": thing}])))
    assert report.custom_resources == 1
    assert sorted(report.faults) == [
        "output jobs: Widget: spec.sise: there is no such field; the nearest there is size",
        "output jobs: Widget: spec: size must be given",
    ]


@pytest.mark.usefixtures("kinds")
def test_a_resource_of_a_group_that_no_chart_defines_is_not_checked_and_it_is_said(store):
    def declare():
        kubernetes.apiextensions.CustomResource("one", api_version="else.example.org/v1", kind="Thing")

    report = report_of(store, deploy(declare))
    assert report.faults == []
    assert report.unchecked == ["Thing one: the chart data define nothing of else.example.org"]

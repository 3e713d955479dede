import pytest

from mlp.charts.custom_resources import CustomResources, is_custom
from tests.mlp.charts.builders import WIDGETS

KNOWN = CustomResources([WIDGETS])


def widget(spec, **changed):
    metadata = {"name": "one", "namespace": "ns", "labels": {"a": "b"}}
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": metadata, "spec": spec, **changed}


def said(thing):
    return [one.message for one in KNOWN.findings(thing)]


@pytest.mark.parametrize(
    "spec",
    [
        {"size": 1},
        {"size": 2, "colour": "red", "note": None, "labels": {"any": "label"}},
        {"size": 2, "port": 80},
        {"size": 2, "port": "http"},
        {"size": 2, "anything": {"goes": {"here": 1}}},
        {"size": 2, "parts": [{"name": "a"}, {"from": "b"}]},
        {"size": 2, "mode": "ON"},
    ],
    ids=str,
)
def test_what_the_definition_names_passes(spec):
    assert said(widget(spec)) == []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"size": 1, "color": "red"}, "spec.color: there is no such field; the nearest there is colour"),
        ({"size": "1"}, 'spec.size: must be of type integer (got "1")'),
        ({"size": 0}, "spec.size: must keep to minimum 1 (got 0)"),
        ({}, "spec: size must be given"),
        ({"size": 1, "colour": "green"}, 'spec.colour: must be one of "red", "blue" (got "green")'),
        ({"size": 1, "port": 1.5}, "spec.port: must be of type integer or must be of type string (got 1.5)"),
        ({"size": 1, "labels": {"a": 1}}, "spec.labels.a: must be of type string (got 1)"),
        (
            {"size": 1, "parts": [{"name": "a", "nam": "b"}]},
            "spec.parts.0.nam: there is no such field; the nearest there is name",
        ),
        ({"size": 1, "mode": "maybe"}, 'spec.mode: must match (?i)^(on|off)?$ (got "maybe")'),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_it_does_not_name_is_a_fault_with_its_path(spec, expected):
    assert said(widget(spec)) == [expected]


def test_a_condition_that_names_some_fields_only_does_not_forbid_the_others():
    assert said(widget({"size": 1, "parts": [{"name": "a", "from": "b"}]})) == []
    assert len(said(widget({"size": 1, "parts": [{}]}))) == 1


def test_a_field_beside_the_spec_is_forbidden_and_metadata_are_kubernetes_own():
    assert said(widget({"size": 1}, sepc={})) == ["sepc: there is no such field; the nearest there is spec"]
    assert said(widget({"size": 1}, metadata={"name": "a", "lables": {}})) == [
        "metadata.lables: there is no such field; the nearest there is labels"
    ]
    assert said(widget({"size": 1}, metadata={"generateName": "a-"})) == []
    assert len(said(widget({"size": 1}, metadata={}))) == 1


@pytest.mark.parametrize("changed", [{"kind": "Wigdet"}, {"apiVersion": "example.com/v1beta1"}], ids=str)
def test_a_kind_or_version_that_is_not_served_is_a_fault(changed):
    [finding] = KNOWN.findings(widget({}, **changed))
    assert finding.checked
    assert "of example.com there are: example.com/v1 Widget" in finding.message


def test_a_group_that_the_data_lack_is_not_checked_and_it_is_said():
    [finding] = KNOWN.findings(widget({}, apiVersion="other.example.com/v1"))
    assert not finding.checked


@pytest.mark.parametrize(
    ("api_version", "custom"),
    [
        ("v1", False),
        ("apps/v1", False),
        ("networking.k8s.io/v1", False),
        ("rbac.authorization.k8s.io/v1", False),
        ("ray.io/v1", True),
        ("gateway.networking.k8s.io/v1", True),
        ("elbv2.k8s.aws/v1beta1", True),
    ],
)
def test_kubernetes_own_groups_need_no_definition(api_version, custom):
    assert is_custom(api_version) is custom


def test_a_cluster_with_the_definitions_offers_their_versions_as_charts_ask_for_them():
    assert KNOWN.api_versions() == ["example.com/v1", "example.com/v1/Widget"]


def test_an_expression_that_only_go_knows_does_not_end_the_check():
    definition = {
        "spec": {
            "group": "go.example.com",
            "names": {"kind": "Go"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {"a": {"type": "string", "pattern": "\\pL(?U)x"}},
                        }
                    },
                }
            ],
        }
    }
    thing = {"apiVersion": "go.example.com/v1", "kind": "Go", "metadata": {"name": "a"}, "a": "b"}
    assert CustomResources([definition]).findings(thing) == []

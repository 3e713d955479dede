import pytest

from mlp.charts.free_maps import BY_CHART, BY_NAME, FreeMap, parts
from mlp.charts.store import ChartData, Dependency
from mlp.charts.values import findings, merged, unknown_keys

DEFAULTS = {
    "replicas": 1,
    "enabled": False,
    "image": {"repository": "example.com/tiny", "tag": ""},
    "podAnnotations": {},
    "resources": {},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "settings": {},
    "extra": None,
    "args": [],
    "server": {"spec": {"retention": "1d", "storage": {"size": "1Gi"}}},
}


def chart(**changed):
    whole = {"name": "tiny", "version": "1", "values": DEFAULTS, "schema": None, "dependencies": (), "subcharts": {}}
    return ChartData(**{**whole, **changed})


def said(values, defaults=DEFAULTS, **more):
    return [str(one) for one in unknown_keys(values, defaults, **more)]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"replicas": 3},
        {"image": {"tag": "1"}},
        {"image": None},
        {"podAnnotations": {"prometheus.io/scrape": "true"}},
        {"nodeSelector": {"workload": "core"}},
        {"resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi", "nvidia.com/gpu": "1"}}},
        {"extra": "text"},
        {"settings": {}},
        {"args": ["--verbose"]},
    ],
    ids=str,
)
def test_what_the_chart_knows_passes(values):
    assert said(values) == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"replica": 3}, "replica: the chart has no such value; the nearest that it has is replicas"),
        ({"image": {"tagg": "1"}}, "image.tagg: the chart has no such value; the nearest that it has is image.tag"),
        (
            {"retention": "2d"},
            "retention: the chart has no such value; the nearest that it has is server.spec.retention",
        ),
        ({"a.b": 1}, '"a.b": the chart has no such value'),
        ({"resources": {"request": {}}}, "resources.request: Kubernetes' object has claims, limits, requests only"),
        ({"image": "example.com/tiny:1"}, "image: the chart has a map there (got text)"),
        ({"image": ["a"]}, "image: the chart has a map there (got a list)"),
        (
            {"enabled": "false"},
            "enabled: the chart has true or false there, and any text counts as true (got text)",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_it_does_not_know_is_named_with_its_path_and_the_nearest_that_it_knows(values, expected):
    assert said(values) == [expected]


@pytest.mark.parametrize("key", ["settings", "extra"])
def test_a_map_that_is_empty_by_default_is_free_only_where_it_is_listed(key):
    values = {key: {"anything": {"goes": 1}}}
    [fault] = said(values)
    assert fault.startswith(f"{key}: the chart's default is ")
    assert said(values, free=[FreeMap(key, "it is the program's own")]) == []


def test_a_listed_map_may_say_which_keys_it_takes():
    free = [FreeMap("settings", "a volume", ("size",))]
    assert said({"settings": {"size": 1}}, free=free) == []
    assert said({"settings": {"sise": 1}}, free=free) == ["settings.sise: a volume has size only"]


def test_a_listed_map_is_good_where_the_defaults_speak_of_it_only_in_a_comment():
    assert said({"server": {"ini": {"a": 1}}}, free=[FreeMap("server.ini", "its own")]) == []


def test_a_listed_path_may_hold_a_key_with_dots_and_stars():
    assert parts('grafana."grafana.ini".server') == ["grafana", "grafana.ini", "server"]
    assert said({"grafana.ini": {"x": {}}}, {}, free=[FreeMap('"*.ini"', "its own")]) == []


def test_what_is_free_by_its_name_must_still_be_a_map_that_the_chart_has():
    assert said({"deploymentAnnotations": {"a": "b"}}) == [
        "deploymentAnnotations: the chart has no such value; the nearest that it has is podAnnotations"
    ]


def test_every_free_map_says_why():
    assert all(one.reason and parts(one.path) for table in (BY_NAME, *BY_CHART.values()) for one in table)


@pytest.mark.parametrize(
    ("values", "defaults", "result"),
    [
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": [1]}, {"a": [2, 3]}, {"a": [1]}),
        ({"a": None}, {"a": {"c": 2}, "d": 1}, {"d": 1}),
        ({"a": {"b": None}}, {"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}),
        ({"a": {"b": 1}}, {"a": "text"}, {"a": {"b": 1}}),
        ({}, {"a": None}, {"a": None}),
    ],
    ids=str,
)
def test_values_are_merged_as_helm_does_it(values, defaults, result):
    assert merged(values, defaults) == result


SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "replicas": {"type": "integer", "minimum": 1},
        "password": {"type": "string", "minLength": 20},
        "image": {"type": "object", "additionalProperties": False, "properties": {"tag": {}, "repository": {}}},
        "env": {"type": "object", "additionalProperties": {"type": "string"}},
        "storage": {"$ref": "#/definitions/storage"},
    },
    "required": ["replicas"],
    "definitions": {"storage": {"type": "object", "properties": {"size": {"type": "string"}}}},
}


def against_schema(values, **more):
    whole = chart(values={"replicas": 1, "image": {"tag": "", "repository": ""}, "env": {}}, schema=SCHEMA)
    return [str(one) for one in findings(values, whole, **more)]


@pytest.mark.parametrize(
    "values",
    [{}, {"replicas": 2}, {"env": {"ANY": "thing"}}, {"storage": {"size": "1Gi"}}, {"image": {"tag": "1"}}],
    ids=str,
)
def test_what_keeps_to_the_schema_passes_and_so_do_keys_that_only_it_names(values):
    assert against_schema(values) == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"replicas": "2"}, 'replicas: must be of type integer (got "2")'),
        ({"replicas": 0}, "replicas: must keep to minimum 1 (got 0)"),
        ({"replicas": None}, "the values: replicas must be given"),
        ({"image": {"tagg": 1}}, "image.tagg: there is no such field; the nearest there is tag"),
        ({"env": {"A": 1}}, "env.A: must be of type string (got 1)"),
        # The schema lets every other key through, and Helm would pass over it in silence.
        ({"replica": 1}, "replica: the chart has no such value; the nearest that it has is replicas"),
        (
            {"storage": {"sise": "1Gi"}},
            "storage.sise: the chart has no such value; the nearest that it has is storage.size",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_breaks_the_schema_is_told_once(values, expected):
    assert against_schema(values) == [expected]


def test_a_secret_is_not_shown():
    [fault] = against_schema({"password": "short"}, shown={"password": "[secret]"})
    assert fault == 'password: must keep to minLength 20 (got "[secret]")'


def test_a_schema_that_refers_to_the_network_is_not_fetched():
    elsewhere = chart(schema={"properties": {"replicas": {"$ref": "https://example.com/schema.json"}}})
    [fault] = findings({"replicas": 1}, elsewhere)
    assert "https://example.com/schema.json" in fault.message


SUB = ChartData(
    name="sub",
    version="1",
    values={"image": {"tag": "1"}, "size": 1, "place": {"namespace": None}},
    schema={"type": "object", "properties": {"size": {"type": "integer"}}},
    dependencies=(),
    subcharts={},
)
WITH_SUB = (Dependency(name="sub", key="theirs", conditions=(("theirs", "enabled"),)),)


def test_values_of_a_sub_chart_are_checked_against_its_own_defaults_and_schema():
    whole = chart(values={"theirs": {"place": {}}}, dependencies=WITH_SUB, subcharts={"sub": SUB})
    right = {"image": {"tag": "2"}, "enabled": True, "place": {"namespace": "there"}}
    assert findings({"theirs": right, "global": {}}, whole) == []
    wrong = {"theirs": {"size": "2", "imag": {}}}
    assert sorted(str(one) for one in findings(wrong, whole)) == [
        "theirs.imag: the chart has no such value; the nearest that it has is theirs.image",
        'theirs.size: must be of type integer (got "2")',
    ]


def test_the_schema_of_a_sub_chart_that_is_not_installed_does_not_hold():
    whole = chart(dependencies=WITH_SUB, subcharts={"sub": SUB})
    assert findings({"theirs": {"size": "2", "enabled": False}}, whole) == []


def test_keys_of_a_sub_chart_whose_defaults_are_not_at_hand_are_not_checked_and_it_is_said():
    whole = chart(values={"theirs": {"size": 1}}, dependencies=WITH_SUB)
    found = findings({"theirs": {"size": 2, "other": 1}, "ther": {}}, whole)
    assert [(one.path, one.checked) for one in found] == [(("theirs", "other"), False), (("ther",), True)]

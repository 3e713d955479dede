import pytest

from mlp.review.changes.property_paths import MissingError, differs, parsed, restored
from mlp.shared.errors import PlatformError


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("tags", ("tags",)),
        ("scalingConfig.desiredSize", ("scalingConfig", "desiredSize")),
        ("spec.ports[0].name", ("spec", "ports", 0, "name")),
        ("rules[*].id", ("rules", "*", "id")),
        ("*", ("*",)),
        ('data["tls.crt"].text', ("data", "tls.crt", "text")),
        ('["a \\"b\\""][1]', ('a "b"', 1)),
    ],
)
def test_a_path_is_keys_and_places(path, keys):
    assert parsed(path) == keys


@pytest.mark.parametrize("path", ["", ".tags", "tags.", "tags[", "tags[x]", 'tags["x]', "tags[-1]", "a..b"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(PlatformError, match="is no property path"):
        parsed(path)


@pytest.mark.parametrize(
    ("old", "new", "path", "result"),
    [
        ({"a": 1, "b": 1}, {"a": 2, "b": 2}, "a", {"a": 1, "b": 2}),
        ({"a": 1}, {}, "a", {"a": 1}),
        ({}, {"a": 2}, "a", {}),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 2}}, "a.b", {"a": {"b": 1, "c": 2}}),
        ({"a": {"c": 1}}, {"a": {"b": 2, "c": 2}}, "a.b", {"a": {"c": 2}}),
        ({}, {"a": {"b": 2}}, "a.b", {"a": {}}),
        ({}, {}, "a.b", {}),
        ({"a": [1, 2]}, {"a": [3, 4]}, "a[1]", {"a": [3, 2]}),
        ({"a": [1]}, {"a": [3]}, "a[1]", {"a": [3]}),
        ({"a": [{"x": 1, "y": 1}]}, {"a": [{"x": 2, "y": 2}]}, "a[*].x", {"a": [{"x": 1, "y": 2}]}),
        ({"a": [1, 2]}, {"a": [3, 4]}, "a[*]", {"a": [1, 2]}),
        ({"a": {"k": 1}}, {"a": {"l": 2}}, "a[*]", {"a": {"k": 1}}),
        ({"a": {"k": {"x": 1}}}, {"a": {"k": {"x": 2}, "l": {"x": 3}}}, "a.*.x", {"a": {"k": {"x": 1}, "l": {"x": 3}}}),
        ({"a.b": 1, "a": {"b": 1}}, {"a.b": 2, "a": {"b": 2}}, '["a.b"]', {"a.b": 1, "a": {"b": 2}}),
    ],
)
def test_what_is_ignored_stays_as_it_was(old, new, path, result):
    assert restored(old, new, parsed(path)) == result


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ({"a": {"b": 1}}, {}, "a.b"),
        ({"a": {"b": 1}}, {"a": "text"}, "a.b"),
        ({"a": [1, 2]}, {"a": [1]}, "a[1]"),
        ({"a": [1, 2]}, {"a": [1]}, "a[*]"),
        ({"a": [{"x": 1}]}, {"a": []}, "a[0].x"),
        ({"a": {"k": {"x": 1}}}, {"a": {}}, "a[*].x"),
    ],
)
def test_nothing_is_made_or_taken_away_to_ignore_what_is_in_it(old, new, path):
    with pytest.raises(MissingError):
        restored(old, new, parsed(path))


@pytest.mark.parametrize(
    ("old", "new", "path", "answer"),
    [
        ({"a": 1, "b": 1}, {"a": 1, "b": 2}, "a", False),
        ({"a": 1}, {"a": 2}, "a", True),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, "a.b", False),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a", True),
        ({}, {"a": {"b": 2}}, "a.b", True),
        ({}, {"a": {"c": 2}}, "a.b", False),
        ({"a": [{"x": 1}]}, {"a": [{"x": 1}, {"x": 2}]}, "a[*].x", True),
        ({"a": [{"x": 1, "y": 1}]}, {"a": [{"x": 1, "y": 2}]}, "a[*].x", False),
        ({"a": 1}, {"a": 1, "b": 1}, "*", True),
    ],
)
def test_a_path_differs_where_what_it_leads_to_does(old, new, path, answer):
    assert differs(old, new, parsed(path)) is answer

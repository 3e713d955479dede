"""What Kubernetes itself makes of the objects in both programs' plans, wherever in an object a container lies."""

import re

import pytest

from mlp.engine.values import revealed
from tests.builders import planned_with_airflow

_VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")


def mappings(value):
    """Every mapping within a value, itself included."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from mappings(item)
    elif isinstance(value, list):
        for item in value:
            yield from mappings(item)


def texts(container):
    """The texts of a container in which Kubernetes replaces `$$` and `$(NAME)`."""
    for key in ("command", "args"):
        yield from (text for text in container.get(key) or [] if isinstance(text, str))
    yield from (one["value"] for one in variables(container) if isinstance(one.get("value"), str))


def variables(container):
    env = container.get("env")
    return [one for one in env if isinstance(one, dict)] if isinstance(env, list) else []


def rewritten(value):
    """The texts that a pod would see otherwise than they are written."""
    for one in mappings(value):
        names = {variable.get("name") for variable in variables(one)}
        for text in texts(one):
            if "$$" in text or names & set(_VARIABLE.findall(text)):
                yield text


def parts_of(stack):
    for deployment in planned_with_airflow(stack):
        for resource in deployment.resources.values():
            yield resource.wanted.name, resource.wanted.type, revealed(resource.wanted.inputs)
        yield deployment.label, "outputs", revealed(deployment.outputs)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_pod_gets_its_command_arguments_and_variables_as_they_are_written(stack):
    assert [(name, text) for name, _type, inputs in parts_of(stack) for text in rewritten(inputs)] == []


@pytest.mark.parametrize(
    "container",
    [
        {"command": ["sh", "-c", "DO $$ BEGIN END $$"]},
        {"args": ["--url=$(HOST)"], "env": [{"name": "HOST", "value": "h"}]},
        {"spec": {"containers": [{"env": [{"name": "A", "value": "$(B)"}, {"name": "B", "value": "b"}]}]}},
    ],
    ids=["two dollar signs", "a variable in an argument", "a variable in a variable"],
)
def test_a_text_that_kubernetes_would_rewrite_is_found(container):
    assert list(rewritten(container))


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_every_patch_says_that_it_takes_its_fields_from_their_owner(stack):
    patches = [(name, inputs) for name, type_, inputs in parts_of(stack) if type_.endswith("Patch")]
    assert patches
    for name, inputs in patches:
        assert inputs["metadata"]["annotations"]["pulumi.com/patchForce"] == "true", name

"""A plan and an emulator see the same stack: the recording cloud computes what AWS, as emulated, does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from mlp.engine.deployment import Deployment
from mlp.engine.values import revealed
from tests import builders
from tests.mlp.engine.clouds.applied import Applied


@pytest.fixture(scope="module", params=["prod", pytest.param("dev", marks=pytest.mark.slow), "local"])
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def planned(applied: Applied) -> Deployment:
    """The same stack on the recording cloud."""
    return builders.planned_with_airflow(applied.stack)[0]


def without_none(value: Any) -> Any:
    """The value as it goes over the wire, with secrets opened."""
    match revealed(value):
        case Mapping() as mapping:
            return {key: without_none(item) for key, item in mapping.items() if item is not None}
        case list() as items:
            return [without_none(item) for item in items]
        case plain:
            return plain


def pairs(planned: Any, applied: Any, path: str) -> Iterator[tuple[str, str]]:
    """The texts that stand in the same place of two answers and differ; all else must be equal."""
    if isinstance(planned, Mapping) and isinstance(applied, Mapping):
        assert set(planned) == set(applied), path
        for key in planned:
            yield from pairs(planned[key], applied[key], f"{path}.{key}")
    elif isinstance(planned, list) and isinstance(applied, list):
        assert len(planned) == len(applied), path
        for one, other in zip(planned, applied, strict=True):
            yield from pairs(one, other, path)
    elif isinstance(planned, str) and isinstance(applied, str):
        if planned != applied:
            yield planned, applied
    elif path.endswith(".latestVersion"):
        yield planned, str(applied)  # a plan knows no number, but that another template has another version
    else:
        assert planned == applied, path


def translation(planned: Deployment, applied: Deployment) -> Callable[[Any], Any]:
    """Turns what the recording cloud computed into what the emulated cloud computed in the same places."""
    table: dict[str, str] = {}
    for urn, resource in planned.resources.items():
        one, other = resource.created, applied.resources[urn].created
        if one is None or other is None:
            assert one is other, urn
            continue
        mine, others = (without_none({"id": made.id, "outputs": made.outputs}) for made in (one, other))
        for name, counterpart in pairs(mine, others, urn):
            for scheme in ("", "https://"):  # IAM calls an issuer by its URL without the scheme
                known = table.setdefault(name.removeprefix(scheme), counterpart.removeprefix(scheme))
                assert known == counterpart.removeprefix(scheme), f"{urn}: {name} stands for two things"
    # An ARN may contain an id, so the longest text that fits is the one meant.
    names = re.compile("|".join(re.escape(name) for name in sorted(table, key=len, reverse=True)))

    def translate(value: Any) -> Any:
        match value:
            case str():
                return names.sub(lambda found: table[found.group()], value)
            case Mapping():
                return {key: translate(item) for key, item in value.items()}
            case list():
                return [translate(item) for item in value]
            case _:
                return value

    return translate


def test_both_clouds_see_the_same_resources(applied: Applied, planned: Deployment) -> None:
    assert set(planned.resources) == set(applied.deployment.resources)
    for urn, resource in planned.resources.items():
        one, other = resource.wanted, applied.deployment.resources[urn].wanted
        assert one.type == other.type
        assert set(one.inputs) == set(other.inputs), urn
        assert (one.parent, one.provider, one.dependencies) == (other.parent, other.provider, other.dependencies)
        assert (one.protect, one.ignore_changes) == (other.protect, other.ignore_changes)


def test_both_clouds_see_the_same_inputs_up_to_ids(applied: Applied, planned: Deployment) -> None:
    translate = translation(planned, applied.deployment)

    for urn, resource in planned.resources.items():
        seen = without_none(applied.deployment.resources[urn].wanted.inputs)
        assert translate(without_none(resource.wanted.inputs)) == seen, urn


def test_both_clouds_give_the_same_outputs_up_to_ids(applied: Applied, planned: Deployment) -> None:
    outputs = without_none(planned.outputs)

    assert translation(planned, applied.deployment)(outputs) == without_none(applied.deployment.outputs)
    assert outputs["vpc_id"] != applied.deployment.outputs["vpc_id"]

"""Nothing without a reader: every setting, input of a component, output and secret is used by somebody."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, is_dataclass
from typing import Any
from unittest.mock import patch

import pytest

from infra.cluster.ready import ClusterReady
from infra.contracts import PlatformOutputs, WorkloadOutputs
from infra.data import database_bootstrap
from infra.environment import Environment
from infra.settings.settings import PlatformSettings
from infra.settings.stack_settings import SettingsModel, StackSettings
from infra.settings.workload_settings import WorkloadSettings
from mlp.engine.clouds.recording import RecordingCloud
from mlp.engine.deployment import Deployment, run_program
from mlp.engine.programs import PLATFORM
from mlp.engine.values import revealed
from tests.builders import PLATFORM_WITH_AIRFLOW, WORKLOADS_WITH_AIRFLOW, changed, planned_with_airflow
from tests.infra.settings.test_settings import OIDC, models_in

READ_BY_THE_MODEL = {
    "NetworkSettings.peered_cidrs": "the range of the network is refused when it overlaps one of them",
}
"""Settings that no program reads after loading, and what they are for."""
OPERATIONS = PLATFORM.folder / "docs" / "operations.md"
PASSWORD = "random:index/randomPassword:RandomPassword"
STORED = "aws:secretsmanager/secretVersion:SecretVersion"
BROUGHT = "kubernetes:external-secrets.io/v1:ExternalSecret"
ROLE = "arn:aws:iam::123456789012:role/{}"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ml-platform/prod/{}-AbCdEf"
EVERYTHING: dict[str, Any] = {
    "deploy_role_arn": ROLE.format("deploy"),
    "permissions_boundary_arn": "arn:aws:iam::123456789012:policy/boundary",
    "network": {"interface_endpoints": ["sts"]},
    "cluster": {"public_access_cidrs": ["198.51.100.0/24"], "preview_role": ROLE.format("preview")},
    "edge": {"oidc": OIDC | {"client_secret_arn": SECRET.format("sign-in")}},
    "services": {
        "mlflow": {"accounts": {"ada": "EDIT"}},
        "airflow": {"dags_repository": "https://example.com/dags.git"},
        "monitoring": {"slack_secret_arn": SECRET.format("slack")},
    },
}
"""What production leaves off, beside Airflow."""


class Reads:
    """Records which attributes of some classes' instances are looked at, as `Class.attribute`."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self._paused = False

    @contextmanager
    def of(self, *classes: type) -> Iterator[None]:
        """Record meanwhile what is read of `classes` and of those that are made of them."""
        with ExitStack() as patches:
            for one in classes:
                look = self._recording(one.__getattribute__)  # type: ignore[arg-type]  # of any instance
                patches.enter_context(patch.object(one, "__getattribute__", look))
            yield

    @contextmanager
    def after_loading(self) -> Iterator[None]:
        """Leave out meanwhile what settings read of themselves while they are loaded: checks and warnings."""
        load = StackSettings.load.__func__  # type: ignore[attr-defined]  # of a class method

        def silent(model: type[StackSettings]) -> StackSettings:
            self._paused = True
            try:
                loaded: StackSettings = load(model)
                return loaded
            finally:
                self._paused = False

        with patch.object(StackSettings, "load", classmethod(silent)):
            yield

    def _recording(self, before: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
        def look(instance: Any, name: str) -> Any:
            if not self._paused:
                self.found.add(f"{type(instance).__name__}.{name}")
            return before(instance, name)

        return look


@dataclass(frozen=True, kw_only=True)
class Run:
    """Both programs with everything switched on, and what they read."""

    platform: Deployment
    workloads: Deployment
    inputs: set[str]
    outputs: set[str]


def component_inputs() -> list[type[Any]]:
    """The classes of all that components are given."""
    found = {
        one
        for name, module in sys.modules.items()
        if name.startswith("infra.")
        for one in vars(module).values()
        if isinstance(one, type) and one.__module__ == name and is_dataclass(one) and one.__name__.endswith("Args")
    }
    return [*sorted(found, key=lambda one: one.__name__), Environment, ClusterReady]


@pytest.fixture(scope="module")
def run() -> Run:
    planned_with_airflow("prod")  # by now every module is loaded
    inputs, outputs = Reads(), Reads()
    with inputs.after_loading(), inputs.of(SettingsModel, *component_inputs()):
        platform = run_program(changed(PLATFORM_WITH_AIRFLOW, **EVERYTHING), "prod", RecordingCloud())
        references = {platform.reference: platform.outputs}
        with outputs.of(PlatformOutputs):
            workloads = run_program(WORKLOADS_WITH_AIRFLOW, "prod", RecordingCloud(), references=references)
    return Run(platform=platform, workloads=workloads, inputs=inputs.found, outputs=outputs.found)


def test_every_setting_is_read_by_a_program(run: Run) -> None:
    models = {*models_in(PlatformSettings), *models_in(WorkloadSettings)}
    settings = {f"{model.__name__}.{name}" for model in models for name in model.model_fields}
    assert settings - run.inputs == set(READ_BY_THE_MODEL)


def test_every_input_of_a_component_is_read_by_it(run: Run) -> None:
    classes = component_inputs()
    assert len(classes) > 20
    assert {f"{one.__name__}.{field.name}" for one in classes for field in fields(one)} - run.inputs == set()


def told_to_people() -> dict[str, str]:
    """The stack of each output that the guide tells people of."""
    text = OPERATIONS.read_text().partition("| output | stack |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.MULTILINE))


def test_every_output_is_read_by_the_workloads_stack_or_told_to_people(run: Run) -> None:
    made = {one.name: "platform" for one in fields(PlatformOutputs)}
    made |= {one.name: "workloads" for one in fields(WorkloadOutputs)}
    read = {name for name in made if f"PlatformOutputs.{name}" in run.outputs}
    assert len(read) > 5
    assert made.items() >= told_to_people().items()
    assert made.keys() - read - told_to_people().keys() == set()


def texts(value: Any) -> Iterator[str]:
    """Every text within a value, at any depth."""
    match value:
        case str():
            yield value
        case Mapping():
            for inner in value.values():
                yield from texts(inner)
        case list():
            for inner in value:
                yield from texts(inner)


def test_every_password_is_told_to_somebody(run: Run) -> None:
    needed = {urn for one in run.platform.resources.values() for urn in one.wanted.dependencies}
    passwords = run.platform.of_type(PASSWORD)
    assert len(passwords) > 10
    assert [one.wanted.name for one in passwords if one.wanted.urn not in needed] == []


def brought_into(namespaces: Callable[[str], bool], platform: Deployment) -> set[str]:
    """The secrets of Secrets Manager, by ARN, that are brought into the namespaces of which `namespaces` is true."""
    specs = [revealed(one.wanted.inputs) for one in platform.of_type(BROUGHT)]
    return {
        data["remoteRef"]["key"]
        for one in specs
        if namespaces(one["metadata"]["namespace"])
        for data in one["spec"]["data"]
    }


def test_every_secret_in_secrets_manager_is_brought_into_the_cluster(run: Run) -> None:
    brought = brought_into(lambda _: True, run.platform)
    stored = {one.wanted.inputs["secretId"]: one.wanted.name for one in run.platform.of_type(STORED)}
    assert len(stored) > 8
    assert [name for arn, name in stored.items() if arn not in brought] == []


def test_every_owner_of_a_database_logs_in_from_elsewhere_than_where_it_is_made(run: Run) -> None:
    used = brought_into(lambda namespace: namespace != database_bootstrap.NAMESPACE, run.platform)
    owners = run.platform.outputs["database_owner_secret_arns"]
    assert len(owners) > 2
    assert [owner for owner, arn in owners.items() if arn not in used] == []


def test_every_secret_in_the_cluster_is_named_by_what_uses_it(run: Run) -> None:
    named = {
        text
        for one in run.platform.resources.values()
        if one.wanted.type != BROUGHT
        for text in texts(revealed(one.wanted.inputs))
    } | set(texts(revealed(run.workloads.outputs)))
    secrets = [one.wanted.inputs["metadata"]["name"] for one in run.platform.of_type(BROUGHT)]
    assert len(secrets) > 8
    assert [name for name in secrets if name not in named] == []


class Example(SettingsModel):
    used: int = 1
    unused: int = 2


def test_what_nothing_reads_is_found() -> None:
    reads, example = Reads(), Example()
    with reads.of(SettingsModel):
        assert example.used
    assert example.unused
    assert {"Example.used", "Example.unused"} - reads.found == {"Example.unused"}

"""The rows of the resource types: complete, each in its file, none too many, and true to the SDKs."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from dataclasses import fields

import pytest

from mlp.engine import types
from mlp.engine.cloud import Place, Registration
from mlp.engine.clouds.recording import RecordingCloud
from mlp.engine.programs import PLATFORM
from mlp.engine.types import TYPES, facts_of, file_of, forcing, precious
from mlp.engine.types.facts import AwsType, Duration, KubernetesType, PriceRule, TypeFacts
from mlp.plan import snapshots
from mlp.shared.checkout import REPOSITORY
from mlp.shared.errors import PlatformError
from tests.builders import PLATFORM_WITH_AIRFLOW, WORKLOADS_WITH_AIRFLOW, changed, deployed

STACKS = PLATFORM.stacks()
PLANNED = {
    one.type for stack in STACKS for plan in snapshots.read(stack) for one in plan.resources.values() if one.custom
}
STRANGER = "aws:sqs/queue:Queue"
FROM_SDKS = sorted(type_ for type_ in TYPES if type_.startswith(("aws:", "random:", "docker-build:")))
# How the documentation says it, where it does: most of such remarks are taken out of the Python SDK.
FORCES = re.compile(
    r"changing this[^.]*new|forces? (?:a )?new|(?:will )?force resource recreation|cannot be changed after creation",
    re.IGNORECASE,
)
IN_PLACE = re.compile(r"without (?:being )?(?:replac|recreat)|(?:updated|changed|modified) in[- ]place", re.IGNORECASE)
EVERY_SETTING = {
    "cluster": {"admin_roles": ["arn:aws:iam::123456789012:role/ada"]},
    "budget": {"monthly_usd": 100, "emails": ["ada@example.com"]},
}
"""What makes resources that no committed stack has."""


def modules():
    found = (importlib.import_module(f"{types.__name__}.{one.name}") for one in pkgutil.iter_modules(types.__path__))
    return [module for module in found if hasattr(module, "TYPES")]


def test_every_type_of_a_kept_plan_has_a_row():
    assert len(PLANNED) > 50
    assert sorted(PLANNED - set(TYPES)) == []


def test_no_row_is_of_a_type_that_no_plan_can_hold():
    both = deployed("prod", changed(PLATFORM_WITH_AIRFLOW, **EVERY_SETTING), WORKLOADS_WITH_AIRFLOW)
    made = {one.wanted.type for deployment in both for one in deployment.resources.values()}
    assert sorted(set(TYPES) - PLANNED - made) == []


def test_each_row_is_in_the_file_that_the_message_for_an_unknown_type_would_name():
    places = {
        type_: f"{module.__name__.replace('.', '/')}.py" for module in modules() for type_ in vars(module)["TYPES"]
    }
    assert places == {type_: file_of(type_) for type_ in TYPES}


def test_a_type_is_written_once():
    assert sum(len(vars(module)["TYPES"]) for module in modules()) == len(TYPES)


@pytest.mark.parametrize("kind", [TypeFacts, AwsType, KubernetesType])
def test_a_row_that_forgets_anything_is_an_error(kind):
    complete = next(facts for facts in TYPES.values() if type(facts) is kind)
    given = {one.name: getattr(complete, one.name) for one in fields(kind)}
    assert kind(**given) == complete
    for name in given:
        with pytest.raises(TypeError, match=f"missing 1 required keyword-only argument: '{name}'"):
            kind(**{key: value for key, value in given.items() if key != name})


@pytest.mark.parametrize("type_", sorted(TYPES))
def test_a_row_has_the_aspects_of_its_package_and_gives_reasons(type_):
    facts = TYPES[type_]
    assert isinstance(facts, AwsType) == type_.startswith("aws:")
    assert isinstance(facts, KubernetesType) == type_.startswith("kubernetes:")
    assert facts.replaced_by.source.startswith("https://")
    assert isinstance(facts.duration({}), Duration)
    reasons = [facts.recorder, facts.price, facts.precious, getattr(facts, "emulator", None)]
    assert "" not in reasons


def test_an_unknown_type_is_refused_with_the_file_that_its_row_belongs_in():
    with pytest.raises(PlatformError, match=rf"^{STRANGER} is no known .*; add its row to mlp/engine/types/sqs\.py$"):
        facts_of(STRANGER)
    assert file_of("kubernetes:kafka.io/v1:Kafka") == "mlp/engine/types/kubernetes.py"
    assert file_of("docker-build:index:Builder") == "mlp/engine/types/docker.py"


def test_what_an_older_plan_holds_and_no_row_knows_is_not_guessed_at():
    assert forcing(STRANGER) is None
    assert precious(STRANGER) is None


def test_what_no_cloud_makes_is_refused_with_the_reason():
    type_ = "pulumi:pulumi:StackReference"
    wanted = Registration(urn="urn", type=type_, name="other", parent=None, custom=True, inputs={})
    with pytest.raises(PlatformError, match="StackReference other is not made by a cloud: the engine reads it"):
        RecordingCloud().create(wanted, {}, Place(region="us-east-1"))


def test_every_way_of_counting_is_of_some_type():
    assert {facts.price for facts in TYPES.values() if isinstance(facts.price, PriceRule)} == set(PriceRule)


def test_the_rows_load_neither_boto3_nor_a_providers_sdk():
    code = "import sys, mlp.engine.types; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert not set(loaded.stdout.split()) & {"boto3", "botocore", "moto", "pulumi_aws", "pulumi_kubernetes"}


def sdk_class(type_):
    package, module, name = type_.split(":")
    folder = module.split("/")[0]
    path = f"pulumi_{package.replace('-', '_')}" + ("" if folder == "index" else f".{folder}")
    return getattr(importlib.import_module(path), name)


def inputs_of_sdk(type_):
    """Each input of a resource by its wire name, with its documentation."""
    args = inspect.signature(sdk_class(type_)._internal_init).parameters
    module, name = vars(inspect.getmodule(sdk_class(type_))), type_.rsplit(":", 1)[1]
    documented = vars(module.get(f"{name}InitArgs") or module[f"{name}Args"])
    names = [name for name in args if isinstance(documented.get(name), property)]
    return {
        re.sub(r"_(\w)", lambda match: match[1].upper(), name): inspect.getdoc(documented[name]) or "" for name in names
    }


@pytest.mark.parametrize("type_", FROM_SDKS)
def test_what_replaces_a_resource_agrees_with_the_sdk(type_):
    known, inputs = TYPES[type_].replaced_by, inputs_of_sdk(type_)
    unknown = [".".join(path) for path in (*known.paths, *known.perhaps) if path[0] not in inputs]
    assert unknown == [], "the SDK has no such inputs"
    named = {path[0] for path in (*known.paths, *known.perhaps)}
    forgotten = [name for name, text in inputs.items() if FORCES.search(text) and name not in named]
    assert forgotten == [], "the SDK's documentation says that a change makes a new resource"
    wrong = [path[0] for path in known.paths if len(path) == 1 and IN_PLACE.search(inputs[path[0]])]
    assert wrong == [], "the SDK's documentation says that a change needs no new resource"


def test_the_sdk_does_speak():
    forcing = [name for type_ in FROM_SDKS for name, text in inputs_of_sdk(type_).items() if FORCES.search(text)]
    assert {"bootstrapSelfManagedAddons", "privateDnsEnabled", "ipv6CidrBlock"} <= set(forcing)

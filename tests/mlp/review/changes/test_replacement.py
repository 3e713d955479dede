"""The table of inputs that force a replacement, against the SDKs and the kept plans."""

import importlib
import inspect
import re

import pytest

from mlp.engine.programs import PLATFORM
from mlp.plan import snapshots as snapshot
from mlp.review.changes import replacement
from mlp.review.changes.replacement import forcing

KEPT = [plan for stack in PLATFORM.stacks() for plan in snapshot.read(stack)]
TYPES = sorted({one.type for plan in KEPT for one in plan.resources.values() if one.custom})
TABLE = sorted(replacement._TABLE)
FROM_SDKS = [type_ for type_ in TABLE if type_.startswith(("aws:", "random:", "docker-build:"))]
# How the documentation says it, where it does: most of such remarks are taken out of the Python SDK.
FORCES = re.compile(
    r"changing this[^.]*new|forces? (?:a )?new|(?:will )?force resource recreation|cannot be changed after creation",
    re.IGNORECASE,
)
IN_PLACE = re.compile(r"without (?:being )?(?:replac|recreat)|(?:updated|changed|modified) in[- ]place", re.IGNORECASE)


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


def test_plans_are_kept():
    assert len(KEPT) >= 4


@pytest.mark.parametrize("type_", TYPES)
def test_every_type_in_a_kept_plan_is_known(type_):
    known = forcing(type_)
    assert known is not None, f"add {type_} to mlp/review/changes/replacement.py"
    assert known.source.startswith("https://")


@pytest.mark.parametrize("type_", FROM_SDKS)
def test_the_table_agrees_with_the_sdk(type_):
    known, inputs = replacement._TABLE[type_], inputs_of_sdk(type_)
    strangers = [".".join(path) for path in (*known.paths, *known.perhaps) if path[0] not in inputs]
    assert strangers == [], "the SDK has no such inputs"
    named = {path[0] for path in (*known.paths, *known.perhaps)}
    forgotten = [name for name, text in inputs.items() if FORCES.search(text) and name not in named]
    assert forgotten == [], "the SDK's documentation says that a change makes a new resource"
    wrong = [path[0] for path in known.paths if len(path) == 1 and IN_PLACE.search(inputs[path[0]])]
    assert wrong == [], "the SDK's documentation says that a change needs no new resource"


def test_the_sdk_does_speak():
    said = [name for type_ in FROM_SDKS for name, text in inputs_of_sdk(type_).items() if FORCES.search(text)]
    assert {"bootstrapSelfManagedAddons", "privateDnsEnabled", "ipv6CidrBlock"} <= set(said)


def test_a_type_of_no_known_provider_is_not_guessed_at():
    assert forcing("newcloud:index:Thing") is None

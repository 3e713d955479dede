"""For one change of the settings, the plan shows what Pulumi's engine would do.

`agreed/BASE.json` has the answers of `pulumi preview --json` for the stack as it is kept: for each setting of dev, and
for prod's entrance, services and pools. The engine, the Kubernetes provider and the API server were real. AWS was an
emulator, behind providers that take from our own tables which inputs replace a resource: replacement of AWS resources
is our own table's matter, and agreement on it says nothing about AWS.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mlp.engine.clouds.recording import RecordingCloud
from mlp.engine.deployment import Deployment, run_program
from mlp.engine.programs import PLATFORM, WORKLOADS, Program, StackConfig
from mlp.plan.planned import program_plan
from mlp.review.changes.differences import compare_program
from tests.mlp.review.changes.engine_answers import Answer, of_plan

AGREED = Path(__file__).parent / "agreed"
BASES = {path.stem: json.loads(path.read_text()) for path in sorted(AGREED.glob("*.json"))}
PROGRAMS = {one.label: one for one in (PLATFORM, WORKLOADS)}
Edit = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class EditedProgram(Program):
    """A committed program with edits of its settings: `set` has values by dotted paths, `remove` has such paths."""

    edits: tuple[Edit, ...] = field(default=(), hash=False)

    def config(self, stack: str) -> StackConfig:
        config, key = super().config(stack), f"{self.project}:settings"
        settings = json.loads(config.values[key])
        for edit in self.edits:
            for path, value in edit.get("set", {}).items():
                above, name = parent_of(settings, path)
                above[name] = value
            for path in edit.get("remove", ()):
                above, name = parent_of(settings, path)
                del above[name]
        return replace(config, values={**config.values, key: json.dumps(settings)})


def parent_of(settings: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *above, name = path.split(".")
    for key in above:
        settings = settings.setdefault(key, {})
    return settings, name


def deployed(base: str, label: str, *edits: Edit) -> Deployment:
    stack, references = BASES[base]["stack"], {}
    if label == WORKLOADS.label:
        platform = unedited(base, PLATFORM.label)
        references = {platform.reference: platform.outputs}
    edits = ({"set": BASES[base]["settings"][label]}, *edits)
    program = EditedProgram(label=label, folder=PROGRAMS[label].folder, edits=edits)
    return run_program(program, stack, RecordingCloud(), references=references)


@cache
def unedited(base: str, label: str) -> Deployment:
    return deployed(base, label)


def comparable(base: str, label: str, edit: Edit) -> Answer:
    """Return the plan's answer, without the paths that a preview does not give.

    It gives none for what is replaced with its provider, or deleted before what it depends on.
    """
    answer = of_plan(compare_program(*map(program_plan, (unedited(base, label), deployed(base, label, edit)))))
    silent = {one for one, paths in edit["answer"].get("replaced", {}).items() if not paths}
    return {**answer, "replaced": {one: [] if one in silent else paths for one, paths in answer["replaced"].items()}}


IN_EACH_RUN = {
    "dev": {"zones-other", "deploy_role_arn", "pool-gpu-disk_gib", "database.password_generation", "services.enabled"},
    "prod": {"edge.domain", "edge.zone_id", "edge.oidc"},
}
"""What the default suite tries; all else is slow."""


def edits() -> list[Any]:
    return [
        pytest.param(
            base,
            label,
            edit,
            id=f"{base}-{label}-{name}",
            marks=() if name in IN_EACH_RUN.get(base, ()) else pytest.mark.slow,
        )
        for base, content in BASES.items()
        for label, found in content["edits"].items()
        for name, edit in found.items()
    ]


@pytest.mark.parametrize(("base", "label", "edit"), edits())
def test_an_edit_of_the_settings_changes_what_the_engine_would_change(base, label, edit):
    found = comparable(base, label, edit)
    assert {kind: changes for kind, changes in found.items() if changes} == edit["answer"]

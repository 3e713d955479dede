"""What tests of components share: a way to deploy one, and to look at what was registered."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from mlp.engine.cloud import Registration
from mlp.engine.clouds.recording import RecordingCloud
from mlp.engine.deployment import Deployment, run_declaration, run_program
from mlp.engine.programs import PLATFORM, WORKLOADS, Program, StackConfig
from mlp.engine.values import revealed
from mlp.plan.planning import plan


def deploy(declare: Callable[[], object]) -> Deployment:
    """Run `declare` against the recording cloud; when it returns, every registration has landed."""
    return run_declaration(declare, RecordingCloud())


@cache
def planned(stack: str) -> list[Deployment]:
    """What the committed programs put there as `stack`, made once in a process: a plan takes seconds."""
    return plan(stack)


@dataclass(frozen=True, kw_only=True)
class ChangedProgram(Program):
    """A committed program that finds `changes` in the settings of every stack file, put into what stands there."""

    changes: Mapping[str, Any] = field(default_factory=dict)

    def config(self, stack: str) -> StackConfig:
        config, key = super().config(stack), f"{self.project}:settings"
        settings = merged(json.loads(config.values.get(key, "{}")), self.changes)
        return replace(config, values={**config.values, key: json.dumps(settings)})


def changed(program: Program, **changes: Any) -> Program:
    """Return `program` with other settings; a mapping among them is merged, all else is replaced."""
    before = program.changes if isinstance(program, ChangedProgram) else {}
    return ChangedProgram(label=program.label, folder=program.folder, changes=merged(before, changes))


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `settings` with `changes`, mapping by mapping."""
    both = dict(settings)
    for key, value in changes.items():
        kept = both.get(key)
        both[key] = merged(kept, value) if isinstance(value, Mapping) and isinstance(kept, Mapping) else value
    return both


PLATFORM_WITH_AIRFLOW = changed(PLATFORM, services={"airflow": {"enabled": True}})
WORKLOADS_WITH_AIRFLOW = changed(WORKLOADS, pipelines=True)


def deployed(stack: str, platform: Program, workloads: Program) -> list[Deployment]:
    """Return what both programs put into the recording cloud as `stack`."""
    first = run_program(platform, stack, RecordingCloud())
    if stack not in workloads.stacks():
        return [first]
    return [first, run_program(workloads, stack, RecordingCloud(), references={first.reference: first.outputs})]


@cache
def planned_with_airflow(stack: str) -> list[Deployment]:
    """Return what `planned` does, with Airflow, which no committed stack runs; made once in a process."""
    return deployed(stack, PLATFORM_WITH_AIRFLOW, WORKLOADS_WITH_AIRFLOW)


def inputs_of(deployment: Deployment, type_: str) -> dict[str, Mapping[str, Any]]:
    """The inputs, secrets opened, of every resource of one type, by logical name."""
    return {one.wanted.name: revealed(one.wanted.inputs) for one in deployment.of_type(type_)}


def wanted(deployment: Deployment, type_: str) -> dict[str, Registration]:
    """The registrations of one type, by logical name."""
    return {one.wanted.name: one.wanted for one in deployment.of_type(type_)}


def ancestors(deployment: Deployment, urn: str) -> set[str]:
    """All that stands before `urn` is made, and goes only after it is gone."""
    found: set[str] = set()
    todo = [urn]
    while todo:
        one = deployment.resources[todo.pop()].wanted
        needed = {*one.dependencies, *filter(None, [one.provider])}
        todo += needed - found
        found |= needed
    return found

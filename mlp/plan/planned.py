"""The plan of a program in plain values: the form in which plans are kept, compared, priced and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mlp.engine.cloud import Registration
from mlp.engine.deployment import Deployment, Resource
from mlp.engine.values import secret_digests, shown
from mlp.plan.origins import Origins, origins
from mlp.plan.placeholders import replaced, symbols


@dataclass(frozen=True, kw_only=True)
class ProgramPlan:
    """One program's plan for one stack: its resources by URN in order, and its outputs."""

    program: str
    stack: str
    resources: Mapping[str, Registration]
    outputs: Mapping[str, Any]
    origins: Origins = field(default=Origins(), compare=False)
    """Where its values come from; empty for a plan that was read from a file."""

    def of_type(self, type_: str) -> list[Registration]:
        """Return the resources of one type, ordered by URN."""
        return [one for one in self.resources.values() if one.type == type_]


def program_plan(deployment: Deployment) -> ProgramPlan:
    """Return the plan of what `deployment` created."""
    plan = ProgramPlan(
        program=deployment.label,
        stack=deployment.stack,
        resources={urn: _planned(one) for urn, one in sorted(deployment.resources.items())},
        outputs=shown(deployment.outputs),
    )
    known = _symbols(plan)
    resources = {
        urn: replace(one, secrets=_digests(deployment.resources[urn], known)) for urn, one in plan.resources.items()
    }
    return _shown_with(replace(plan, resources=resources, origins=origins(deployment.resources, known)), known)


def _digests(resource: Resource, known: Mapping[str, str]) -> dict[str, str]:
    wanted = resource.wanted
    return secret_digests(replaced(wanted.inputs, known)) if wanted.custom else {}


def with_symbols(plan: ProgramPlan) -> ProgramPlan:
    """Return the plan with symbols for what varies by commit: the hashes of images."""
    return _shown_with(plan, _symbols(plan))


def _symbols(plan: ProgramPlan) -> dict[str, str]:
    return symbols((one.urn, one.type, one.name, one.inputs) for one in plan.resources.values())


def _shown_with(plan: ProgramPlan, known: Mapping[str, str]) -> ProgramPlan:
    resources = {
        one.urn: replace(one, id=replaced(one.id, known), inputs=replaced(one.inputs, known))
        for one in plan.resources.values()
    }
    return replace(plan, resources=resources, outputs=replaced(plan.outputs, known))


def short_type(type_: str) -> str:
    """Return a type without its module, for people: `aws ec2 Vpc` for `aws:ec2/vpc:Vpc`."""
    package, module, kind = type_.split(":")
    group = module.split("/")[0]
    return " ".join([package, kind] if group == "index" else [package, group, kind])


def _planned(resource: Resource) -> Registration:
    """Return the resource as plans hold it: secrets are not shown, and a component's inputs are its children's."""
    wanted = resource.wanted
    if wanted.custom:
        return replace(wanted, inputs=shown(wanted.inputs))
    return replace(wanted, inputs={}, dependencies=(), provider=None)

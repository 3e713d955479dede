"""Plans as JSON: the one place where the fields of a resource, and of a plan, are written and read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Annotated, Any, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from mlp.engine.cloud import Registration
from mlp.plan.planned import ProgramPlan

_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)
_DEFAULTS = {
    one.name: one.default if one.default_factory is MISSING else one.default_factory() for one in fields(Registration)
}
_ALWAYS = ("urn", "type", "name", "parent")
_ALWAYS_OF_CUSTOM = ("id", "inputs", "dependencies", "provider", "protect")
"""Fields that are always written for a custom resource; all others only where they differ from their default."""


def plan_data(plan: ProgramPlan) -> dict[str, Any]:
    """Return the plan as JSON data: stable, free of secrets, times and machine paths."""
    return {
        "counts": dict(sorted(Counter(one.type for one in plan.resources.values()).items())),
        "resources": [_resource_data(one) for one in plan.resources.values()],
        "outputs": plan.outputs,
    }


def _resource_data(one: Registration) -> dict[str, Any]:
    """Return the resource as JSON data; one without `inputs` is a component."""
    always = (*_ALWAYS, *_ALWAYS_OF_CUSTOM) if one.custom else _ALWAYS
    values = {name: getattr(one, name) for name in _DEFAULTS if name != "custom"}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if name in always or value != _DEFAULTS[name]
    }


def _field(name: str, hint: Any) -> Any:
    """Return the pydantic definition of a field of `Registration`."""
    if name == "urn":
        return str, Field(pattern=r"^urn:pulumi:[^:]+::.+::.+::.+$")
    if name == "inputs":
        return dict[str, Any] | None, None
    if hint == tuple[str, ...]:  # a list in JSON
        hint = Annotated[hint, Field(strict=False)]
    elif hint == Mapping[str, str]:
        hint = dict[str, str]
    return hint, ... if _DEFAULTS[name] is MISSING else _DEFAULTS[name]


_Resource: type[BaseModel] = create_model(
    "_Resource",
    __config__=_STRICT,
    **{name: _field(name, hint) for name, hint in get_type_hints(Registration).items() if name != "custom"},
)


def _registration(one: BaseModel) -> Registration:
    given = dict(one)
    inputs = given.pop("inputs")
    return Registration(**given, custom=inputs is not None, inputs=inputs or {})


def _distinct(resources: list[BaseModel]) -> list[BaseModel]:
    counts = Counter(_registration(one).urn for one in resources)
    if twice := [urn for urn, count in counts.items() if count > 1]:
        raise ValueError(f"{', '.join(twice)} occurs more than once")
    return resources


class PlanData(BaseModel):
    """A program's plan as `plan_data` writes it; fields that an older version did not write have their defaults."""

    model_config = _STRICT

    resources: Annotated[list[_Resource], AfterValidator(_distinct)]
    outputs: dict[str, Any]
    counts: dict[str, int] = {}

    def plan(self, program: str, stack: str) -> ProgramPlan:
        """Return the plan, its resources in the order of their URNs."""
        found = sorted(map(_registration, self.resources), key=lambda one: one.urn)
        return ProgramPlan(
            program=program, stack=stack, resources={one.urn: one for one in found}, outputs=self.outputs
        )

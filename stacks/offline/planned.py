"""What a program would put there, in plain values: the form in which plans are kept, compared, priced and checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stacks.offline.engine import Deployment, Resource
from stacks.offline.programs import REPOSITORY
from stacks.offline.values import shown


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A resource of a plan. `inputs` are as the provider gets them, secrets as `[secret]`; a component has none."""

    urn: str
    type: str
    name: str
    parent: str | None
    custom: bool
    inputs: Mapping[str, Any] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    """URNs of what must be there first."""
    provider: str | None = None
    protect: bool = False


@dataclass(frozen=True, kw_only=True)
class ProgramPlan:
    """One program's plan for one stack: its resources by URN in order, and its outputs."""

    program: str
    stack: str
    resources: Mapping[str, Entry]
    outputs: Mapping[str, Any]

    def of_type(self, type_: str) -> list[Entry]:
        """The resources of one type, ordered by URN."""
        return [one for one in self.resources.values() if one.type == type_]

    def as_data(self) -> dict[str, Any]:
        """The plan as JSON has it: stable, free of secrets, times and machine paths."""
        return {
            "counts": dict(sorted(Counter(one.type for one in self.resources.values()).items())),
            "resources": [_entry_data(one) for one in self.resources.values()],
            "outputs": self.outputs,
        }


def program_plan(deployment: Deployment) -> ProgramPlan:
    """The plan of what `deployment` put there."""
    return ProgramPlan(
        program=deployment.label,
        stack=deployment.stack,
        resources={urn: _entry(one) for urn, one in sorted(deployment.resources.items())},
        outputs=shown(deployment.outputs),
    )


def _entry(resource: Resource) -> Entry:
    wanted = resource.wanted
    if not wanted.custom:
        return Entry(urn=wanted.urn, type=wanted.type, name=wanted.name, parent=wanted.parent, custom=False)
    return Entry(
        urn=wanted.urn,
        type=wanted.type,
        name=wanted.name,
        parent=wanted.parent,
        custom=True,
        inputs=_portable(shown(wanted.inputs)),
        dependencies=wanted.dependencies,
        provider=wanted.provider,
        protect=wanted.protect,
    )


def _entry_data(entry: Entry) -> dict[str, Any]:
    data: dict[str, Any] = {"urn": entry.urn, "type": entry.type, "name": entry.name, "parent": entry.parent}
    if entry.custom:
        data |= {
            "inputs": entry.inputs,
            "dependencies": list(entry.dependencies),
            "provider": entry.provider,
            "protect": entry.protect,
        }
    return data


def _portable(value: Any) -> Any:
    """The value with this machine's path of the repository replaced, so that every machine has the same plan."""
    match value:
        case str():
            return value.replace(str(REPOSITORY), "<repository>")
        case dict():
            return {key: _portable(item) for key, item in value.items()}
        case list():
            return [_portable(item) for item in value]
        case _:
            return value

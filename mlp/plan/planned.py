"""What a program would put there, in plain values: the form in which plans are kept, compared, priced and checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mlp.engine.deployment import Deployment, Resource
from mlp.engine.values import shown
from mlp.plan.placeholders import replaced, symbols
from mlp.shared.checkout import REPOSITORY


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A resource of a plan. `inputs` are as the provider gets them, secrets as `[secret]`; a component has none."""

    urn: str
    type: str
    name: str
    parent: str | None
    custom: bool
    id: str | None = None
    """By what others refer to it, as the recording cloud answers."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    """URNs of what must be there first."""
    provider: str | None = None
    protect: bool = False
    aliases: tuple[str, ...] = ()
    """URNs that it had before."""


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
    return with_symbols(
        ProgramPlan(
            program=deployment.label,
            stack=deployment.stack,
            resources={urn: _entry(one) for urn, one in sorted(deployment.resources.items())},
            outputs=shown(deployment.outputs),
        )
    )


def with_symbols(plan: ProgramPlan) -> ProgramPlan:
    """The plan with symbols for what every commit and every machine has otherwise: image hashes, the repository."""
    entries = plan.resources.values()
    known = symbols((one.urn, one.type, one.name, one.inputs) for one in entries)
    known[str(REPOSITORY)] = "<repository>"
    return replace(
        plan,
        resources={
            one.urn: replace(one, id=replaced(one.id, known), inputs=replaced(one.inputs, known)) for one in entries
        },
        outputs=replaced(plan.outputs, known),
    )


def short_type(type_: str) -> str:
    """`aws:ec2/vpc:Vpc` is `aws ec2 Vpc`."""
    package, module, kind = type_.split(":")
    group = module.split("/")[0]
    return " ".join([package, kind] if group == "index" else [package, group, kind])


def _entry(resource: Resource) -> Entry:
    wanted = resource.wanted
    entry = Entry(
        urn=wanted.urn,
        type=wanted.type,
        name=wanted.name,
        parent=wanted.parent,
        custom=wanted.custom,
        aliases=wanted.aliases,
    )
    if not wanted.custom:
        return entry
    return replace(
        entry,
        id=resource.created.id if resource.created else None,
        inputs=shown(wanted.inputs),
        dependencies=wanted.dependencies,
        provider=wanted.provider,
        protect=wanted.protect,
    )


def _entry_data(entry: Entry) -> dict[str, Any]:
    data: dict[str, Any] = {"urn": entry.urn, "type": entry.type, "name": entry.name, "parent": entry.parent}
    if entry.aliases:
        data["aliases"] = list(entry.aliases)
    if entry.custom:
        data |= {
            "id": entry.id,
            "inputs": entry.inputs,
            "dependencies": list(entry.dependencies),
            "provider": entry.provider,
            "protect": entry.protect,
        }
    return data

"""A plan: what a program would create in a cloud, as data and as a tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from mlp.engine.clouds.recording import RecordingCloud
from mlp.engine.deployment import Deployment, Resource, run_program
from mlp.engine.programs import PLATFORM, WORKLOADS
from mlp.plan.codec import plan_data
from mlp.plan.planned import ProgramPlan, program_plan, short_type

FORMAT = 1
"""Version of the data that `as_data` returns."""


def plan(stack: str) -> list[Deployment]:
    """Return what the platform program and, where it has such a stack, the workloads program create for `stack`.

    Raise PlatformError for an unknown stack, wrong settings or a resource that the offline engine does not know.
    """
    platform = run_program(PLATFORM, stack, RecordingCloud())
    if stack not in WORKLOADS.stacks():  # a laptop runs the workloads as processes
        return [platform]
    references = {platform.reference: platform.outputs}
    return [platform, run_program(WORKLOADS, stack, RecordingCloud(), references=references)]


def program_plans(deployments: Iterable[Deployment]) -> list[ProgramPlan]:
    """Return the plans of a stack's programs in plain values."""
    return [program_plan(one) for one in deployments]


def as_data(deployments: Sequence[Deployment], review: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """Return the plan in plain values, sorted and free of secrets and machine paths, with the results of its review."""
    return {
        "format": FORMAT,
        "stack": deployments[0].stack,
        "programs": {one.program: plan_data(one) for one in program_plans(deployments)},
        **review,
    }


def rendered(deployments: Sequence[Deployment]) -> RenderableType:
    """Return the plan for people: each program's tree of resources, then how many there are of each type."""
    return Group(*(part for one in deployments for part in (_tree(one), _counts(one))))


def _tree(deployment: Deployment) -> Tree:
    children: dict[str | None, list[Resource]] = {}
    for resource in deployment.resources.values():
        parent = resource.wanted.parent
        children.setdefault(parent if parent in deployment.resources else None, []).append(resource)
    root = Tree(Text.assemble((f"{deployment.label} {deployment.stack}", "bold")))
    _grow(root, None, children)
    return root


def _grow(branch: Tree, parent: str | None, children: Mapping[str | None, list[Resource]]) -> None:
    for resource in sorted(children.get(parent, []), key=lambda one: (one.wanted.type, one.wanted.name)):
        wanted = resource.wanted
        label = Text.assemble(wanted.name, " ", (short_type(wanted.type), "dim"))
        if wanted.protect:
            label.append(" protected", "yellow")
        _grow(branch.add(label), wanted.urn, children)


def _counts(deployment: Deployment) -> Table:
    counts = Counter(one.wanted.type for one in deployment.resources.values() if one.wanted.custom)
    table = Table(title=f"{sum(counts.values())} resources", title_justify="left", box=None, show_header=False)
    table.add_column(justify="right")
    table.add_column()
    for type_, count in sorted(counts.items()):
        table.add_row(str(count), short_type(type_))
    return table

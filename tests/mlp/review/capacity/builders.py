"""What tests of capacity and of the critical path share: plans, whole or of a few parts, and small changes of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from infra.cluster.node_pools import node_user_data
from mlp.engine.cloud import Registration
from mlp.plan.planned import ProgramPlan, program_plan
from tests.builders import planned, planned_with_airflow

OBJECT = "kubernetes:batch/v1:Job"
"""A type whose pods are specified in the object itself and read by its `kind`."""


@cache
def plans(stack: str) -> tuple[ProgramPlan, ...]:
    """The committed programs' plans for `stack`, made once in a process."""
    return tuple(program_plan(one) for one in planned(stack))


@cache
def plans_with_airflow(stack: str) -> tuple[ProgramPlan, ...]:
    """Return the same with Airflow, which no committed stack runs."""
    return tuple(program_plan(one) for one in planned_with_airflow(stack))


def changed(
    stack: str,
    name: str,
    change: Callable[[dict[str, Any]], None],
    plans: Callable[[str], Sequence[ProgramPlan]] = plans,
) -> list[ProgramPlan]:
    """The plans of `stack` in which `change` was done to the inputs of the resource called `name`."""

    def edited(entry: Registration) -> Registration:
        if entry.name != name or not entry.custom:
            return entry
        inputs = copy.deepcopy(dict(entry.inputs))
        change(inputs)
        return replace(entry, inputs=inputs)

    result = [
        replace(plan, resources={urn: edited(one) for urn, one in plan.resources.items()}) for plan in plans(stack)
    ]
    assert result != list(plans(stack)), f"there is no {name}, or nothing was changed of it"
    return result


def entry(
    type_: str, name: str, inputs: Mapping[str, Any] | None = None, *needs: str, parent: str | None = None
) -> Registration:
    """A resource, whose URN is its name; `needs` and `parent` are names. Without inputs it is a component."""
    return Registration(
        urn=name,
        type=type_,
        name=name,
        parent=parent,
        custom=inputs is not None,
        inputs=inputs or {},
        dependencies=needs,
    )


def with_inputs(one: Registration, **changes: Any) -> Registration:
    """The same resource with some inputs changed."""
    return replace(one, inputs={**one.inputs, **changes})


def program(*entries: Registration, outputs: Mapping[str, Any] | None = None) -> ProgramPlan:
    """A plan of these resources."""
    resources = {one.urn: one for one in entries}
    return ProgramPlan(program="platform", stack="test", resources=resources, outputs=outputs or {})


def pool(
    name: str = "core",
    types: tuple[str, ...] = ("t3.large",),
    *,
    size: tuple[int, int] = (2, 4),
    zones: int = 3,
    gpu: bool = False,
    max_pods: int = 110,
) -> tuple[Registration, Registration]:
    """A node group, and its launch template."""
    template = entry(
        "aws:ec2/launchTemplate:LaunchTemplate",
        f"{name}-template",
        {"userData": node_user_data(max_pods), "blockDeviceMappings": [{"ebs": {"volumeSize": 50}}]},
    )
    labels = {"ml-platform/pool": name, **({"nvidia.com/gpu.present": "true"} if gpu else {})}
    taints = [{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}] if gpu else []
    group = {
        "instanceTypes": list(types),
        "labels": labels,
        "taints": taints,
        "subnetIds": [f"subnet-{zone}" for zone in range(zones)],
        "scalingConfig": {"minSize": size[0], "maxSize": size[1], "desiredSize": size[0]},
    }
    return template, entry("aws:eks/nodeGroup:NodeGroup", f"nodes-{name}", group, template.urn)


def deployment(
    name: str, requests: Mapping[str, str] | None = None, *, replicas: int = 1, kind: str = "Deployment", **spec: Any
) -> Registration:
    """An object that runs pods of one container, with the label `app`."""
    container = {"name": name, "resources": {"requests": dict(requests or {})}}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], **spec}}
    manifest = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "test"},
        "spec": {"replicas": replicas, "template": template},
    }
    return entry(OBJECT, name, manifest)


def apart(name: str, topology: str = "kubernetes.io/hostname") -> dict[str, Any]:
    """The rule that no two pods with the label `app: name` share a place."""
    term = {"topologyKey": topology, "labelSelector": {"matchLabels": {"app": name}}}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}

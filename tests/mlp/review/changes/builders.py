"""Small plans, written by hand, for tests of what is made of plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlp.engine.aliases import child_urn
from mlp.engine.cloud import Registration
from mlp.plan.planned import ProgramPlan
from mlp.review.changes.differences import ResourceChange, compare_program

TOP = "urn:pulumi:prod::ml-platform::pulumi:pulumi:Stack::"
VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
BUCKET = "aws:s3/bucket:Bucket"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
DATABASE = "aws:rds/instance:Instance"
CLUSTER = "aws:eks/cluster:Cluster"


def resource(
    type_: str,
    name: str,
    inputs: Mapping[str, Any] | None = None,
    *,
    id_: str | None = None,
    needs: tuple[Registration, ...] = (),
    below: str | None = None,
    aliases: tuple[str, ...] = (),
    provider: str | None = None,
    protect: bool = False,
    **options: Any,
) -> Registration:
    """A resource of a plan; `below` is its parent's URN, `options` are more of its fields."""
    return Registration(
        urn=child_urn(below or TOP, type_, name),
        type=type_,
        name=name,
        parent=below,
        custom=True,
        id=id_ or f"{name}-1a2b3c4",
        inputs=inputs or {},
        dependencies=tuple(one.urn for one in needs),
        provider=provider,
        protect=protect,
        aliases=aliases,
        **options,
    )


def plan_of(
    *entries: Registration, outputs: Mapping[str, Any] | None = None, program: str = "platform", stack: str = "prod"
) -> ProgramPlan:
    """The plan that has just these resources."""
    return ProgramPlan(
        program=program,
        stack=stack,
        resources={one.urn: one for one in sorted(entries, key=lambda one: one.urn)},
        outputs=outputs or {},
    )


def changes_between(old: tuple[Registration, ...], new: tuple[Registration, ...]) -> dict[str, ResourceChange]:
    """What changes from the one plan to the other, by the change and the resource's name: `replaced vpc`."""
    changes = compare_program(plan_of(*old), plan_of(*new)).resources
    return {f"{one.kind} {one.entry.name}": one for one in changes}


def paths(change: ResourceChange) -> dict[str, tuple[Any, Any]]:
    """The old and the new value of each field that differs, by its path."""
    return {one.path: (one.old, one.new) for one in change.fields}

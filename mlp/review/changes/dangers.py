"""Dangerous changes: data that is lost, protection that is removed, access that widens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mlp.engine.cloud import Registration
from mlp.engine.types import precious
from mlp.plan.planned import ProgramPlan
from mlp.review.changes.differences import ProgramChanges, ResourceChange
from mlp.review.changes.firewall_rules import firewall_rules, within
from mlp.review.changes.grants import Widened, is_policy, widened
from mlp.review.changes.moves import Moves
from mlp.review.changes.structure import structured
from mlp.review.node_groups import NODE_GROUP

DangerKind = Literal["lost", "nodes", "unprotected", "access", "network", "public"]

_POLICY_ATTACHMENTS = {
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": ("clusterName", "policyArn"),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ("role", "policyArn"),
}
"""Resources that attach a policy of AWS's own, and the inputs that name the holder and the policy."""

_HOLDERS = ("role", "clusterName", "bucket", "arn")
"""Inputs that name the holder of a policy."""
_ACCESS_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"


@dataclass(frozen=True, kw_only=True)
class Danger:
    """One reason to look twice: which resource, and what happens to it in words."""

    kind: DangerKind
    program: str
    urn: str
    type: str
    name: str
    message: str

    def as_data(self) -> dict[str, str]:
        """Return the danger in plain values."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class _Protection:
    """An input that protects data or access while `safe` holds; absent it has `default`."""

    path: tuple[str, ...]
    safe: Callable[[Any], bool]
    default: Any
    message: str
    kind: DangerKind = "unprotected"


_PROTECTIONS = (
    _Protection(path=("deletionProtection",), safe=bool, default=False, message="deletion protection is turned off"),
    _Protection(
        path=("skipFinalSnapshot",), safe=lambda on: not on, default=False, message="no final snapshot is taken"
    ),
    _Protection(
        path=("forceDestroy",), safe=lambda on: not on, default=False, message="it may be deleted with all its objects"
    ),
    _Protection(
        path=("forceDelete",), safe=lambda on: not on, default=False, message="it may be deleted with all its images"
    ),
    _Protection(
        path=("backupRetentionPeriod",),
        safe=bool,
        default=0,
        message="backups are turned off, and those kept are deleted",
    ),
    _Protection(
        path=("versioningConfiguration", "status"),
        safe=lambda status: status == "Enabled",
        default=None,
        message="object versions are no longer kept",
    ),
    _Protection(path=("recoveryWindowInDays",), safe=bool, default=30, message="it cannot be recovered once deleted"),
    _Protection(
        path=("permissionsBoundary",),
        safe=bool,
        default=None,
        message="its permissions boundary is removed",
        kind="access",
    ),
    _Protection(
        path=("publiclyAccessible",),
        safe=lambda on: not on,
        default=False,
        message="it gets a public address",
        kind="network",
    ),
    _Protection(
        path=("vpcConfig", "endpointPublicAccess"),
        safe=lambda on: not on,
        default=True,
        message="it gets an endpoint on the internet",
        kind="network",
    ),
)


def dangers(changes: Sequence[ProgramChanges]) -> tuple[Danger, ...]:
    """Return every danger in `changes`, the gravest first."""
    found = [
        Danger(kind=kind, program=program.program, urn=one.urn, type=one.type, name=one.name, message=message)
        for program in changes
        for kind, one, message in _found(program)
    ]
    order = list(DangerKind.__args__)  # type: ignore[attr-defined]  # the kinds in the order written above
    return tuple(sorted(found, key=lambda one: (order.index(one.kind), one.urn)))


Found = Iterator[tuple[DangerKind, Registration, str]]


def _found(program: ProgramChanges) -> Found:
    earlier_ids = {one.id for one in program.old.resources.values() if one.id}
    moves, moved = Moves(program.moved), {new.urn: old for old, new in program.moved}
    for change in program.resources:
        yield from _lost(change)
        yield from _sent_sizes(change)
        yield from _rolled_nodes(change)
        yield from _removed_protections(change)
        earlier = change.old or moved.get(change.entry.urn)
        # What only refers to other names of the same things is no wider.
        yield from _wider_policies(change, moves.value(earlier.inputs) if earlier else None, earlier_ids)
        yield from _opened_bucket(change, program.new)
    yield from _wider_groups(program)


def _lost(change: ResourceChange) -> Found:
    one, what = change.entry, precious(change.entry.type)
    protected = one.protect if change.kind == "deleted" else bool(change.old and change.old.protect)
    refused = "; it is protected, so Pulumi refuses until it is unprotected" if protected else ""
    left = "; the object stays in the cloud, unmanaged" if change.retained else ""
    if change.kind == "replaced" and (what or protected):
        first = "; it is deleted before the new one is made" if change.deleted_first and not change.retained else ""
        yield "lost", one, f"{what or 'it'} is replaced, because of {', '.join(change.forced_by)}{first}{left}{refused}"
    elif change.kind == "deleted" and (what or protected):
        why = ": it moved, and no alias says so, so another is created" if change.moved else ""
        yield "lost", one, f"{what or 'it'} {'leaves the stack' if left else 'is deleted'}{why}{left}{refused}"
    elif change.perhaps_replaced and what:
        yield "lost", one, f"{what} may be replaced; see `pulumi preview`"


def _sent_sizes(change: ResourceChange) -> Found:
    """Yield the danger of a changed node group size: the provider sends all of them, desired size included.

    The desired size it sends is the one that the last deployment knew.
    """
    one, changed = change.entry, {field.fields[:2] for field in change.fields}
    ends = [("scalingConfig", "minSize"), ("scalingConfig", "maxSize"), ("scalingConfig",)]
    if change.kind != "changed" or one.type != NODE_GROUP or not changed.intersection(ends):
        return
    asked = ",".join(f"{key}={one.inputs.get('scalingConfig', {}).get(key)}" for key in ("minSize", "maxSize"))
    command = (
        f"aws eks update-nodegroup-config --cluster-name {one.inputs.get('clusterName')} --nodegroup-name NAME "
        f"--scaling-config {asked}"
    )
    message = (
        "the provider sends the number of nodes that the last deployment knew along with the new sizes: EKS ends those "
        f"added since, or refuses a minimum above that number; first `{command}` (with desiredSize=NUMBER where the "
        "minimum is above what runs), then `pulumi refresh`"
    )
    yield "nodes", one, message


def _rolled_nodes(change: ResourceChange) -> Found:
    """Yield the danger of a new version of a node group's launch template or of Kubernetes: every node is replaced."""
    one, changed = change.entry, {field.fields for field in change.fields}
    causes = {
        ("launchTemplate", "version"): "its launch template changes",
        ("version",): "its Kubernetes version changes",
    }
    why = [text for fields, text in causes.items() if fields in changed]
    if change.kind == "changed" and one.type == NODE_GROUP and why:
        share = (one.inputs.get("updateConfig") or {}).get("maxUnavailablePercentage")
        pace = f", {share} % of them at a time" if share else ""
        message = f"{' and '.join(why)}: EKS replaces every node of the pool{pace}, and what runs there has to move"
        yield "nodes", one, message


def _removed_protections(change: ResourceChange) -> Found:
    old, new = change.old, change.entry
    if old is None:
        return
    if old.protect and not new.protect:
        yield "unprotected", new, "Pulumi's protection is removed"
    for protection in _PROTECTIONS:
        was, now = (_at(one.inputs, protection.path, protection.default) for one in (old, new))
        if was != now and protection.safe(was) and not protection.safe(now) and _has(old, new, protection.path):
            yield protection.kind, new, protection.message
    reachable = [set(_at(one.inputs, ("vpcConfig", "publicAccessCidrs"), [])) for one in (old, new)]
    if added := sorted(one for one in reachable[1] if not any(within(one, was) for was in reachable[0])):
        yield "network", new, f"its endpoint can be reached from {', '.join(added)}"


def _has(old: Registration, new: Registration, path: tuple[str, ...]) -> bool:
    """Return whether the resource has such an input at all."""
    return any(path[0] in one.inputs for one in (old, new))


def _at(inputs: Mapping[str, Any], path: tuple[str, ...], default: Any) -> Any:
    value: Any = inputs
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return default if value is None else value


def _wider_policies(change: ResourceChange, earlier: Mapping[str, Any] | None, earlier_ids: set[str]) -> Found:
    """Yield grants that were not there before.

    `earlier` are the resource's inputs before, None for a new one; `earlier_ids` are the ids of all earlier resources.
    """
    one = change.entry
    if change.kind == "deleted":
        # A bucket's or a topic's own policy may have forbidden something.
        if not change.moved and (
            no_longer_denied := widened(structured(one.inputs.get("policy")), None).no_longer_denied
        ):
            yield "access", one, f"it is deleted, so no longer: {_listed(no_longer_denied)}"
        return
    if earlier is None:
        # What is granted to something new opens nothing that was closed.
        if not any(one.inputs.get(key) in earlier_ids for key in _HOLDERS):
            return
        if one.type in _POLICY_ATTACHMENTS:
            target, policy = (one.inputs.get(key) for key in _POLICY_ATTACHMENTS[one.type])
            yield "access", one, f"{target} gets the policy {policy}"
    for key, value in one.inputs.items():
        was, now = structured((earlier or {}).get(key)), structured(value)
        if (is_policy(now) or is_policy(was)) and (more := widened(was, now)):
            yield "access", one, f"{key} is widened: {_in_words(more)}"


def _in_words(more: Widened) -> str:
    parts = []
    if more.allowed:
        parts.append(_listed(more.allowed))
    if more.no_longer_denied:
        parts.append(f"no longer: {_listed(more.no_longer_denied)}")
    if more.unread:
        parts.append("a statement with NotAction, NotResource or NotPrincipal changed; read it")
    return "; ".join(parts)


def _listed(grants: Sequence[object], limit: int = 3) -> str:
    more = f" and {len(grants) - limit} more" if len(grants) > limit else ""
    return ", ".join(str(one) for one in grants[:limit]) + more


def _opened_bucket(change: ResourceChange, after: ProgramPlan) -> Found:
    one = change.entry
    if one.type != _ACCESS_BLOCK:
        return
    if change.kind == "deleted":
        if any(other.id == one.inputs.get("bucket") for other in after.of_type("aws:s3/bucket:Bucket")):
            yield "public", one, f"the bucket {one.inputs.get('bucket')} loses its block of public access"
    elif change.old:
        flags = sorted(key for key, value in change.old.inputs.items() if value is True)
        if opened := [key for key in flags if one.inputs.get(key) is not True]:
            yield "public", one, f"public access is blocked no longer by {', '.join(opened)}"


def _wider_groups(program: ProgramChanges) -> Found:
    """Yield firewall rules that let more into, or out of, security groups that existed before."""
    old, new = firewall_rules(program.old), firewall_rules(program.new)
    names = {one.id: one.name for one in program.old.resources.values() if one.id}
    for group, rules in new.items():
        for entry, rule in rules:
            if group in names and not any(was.covers(rule) for _, was in old.get(group, [])):
                yield "network", entry, f"security group {names[group]} is opened {rule}"

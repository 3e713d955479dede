"""The former URNs of a resource, by which Pulumi recognises it after a move or a rename."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlp.engine.cloud import Registration

_STACK = "pulumi:pulumi:Stack"


def child_urn(parent: str, type_: str, name: str) -> str:
    """Return the URN of a child of `parent`, itself a URN."""
    prefix, ancestors, _ = parent.rsplit("::", 2)
    return f"{prefix}::{type_ if ancestors == _STACK else f'{ancestors}${type_}'}::{name}"


def former_urns(wanted: Registration, declared: Iterable[Any], parent: Registration | None) -> tuple[str, ...]:
    """Return every former URN of `wanted`: by its own aliases, as registered, and by those of its ancestors.

    A child whose name begins with its parent's was renamed with it
    (https://www.pulumi.com/docs/iac/concepts/options/aliases/).
    """
    own = [wanted.urn, *(_declared(wanted, one) for one in declared)]
    found = dict.fromkeys(own)
    for former_parent in parent.aliases if parent else ():
        for one in own:
            type_, name = one.split("::")[2].rpartition("$")[2], one.rsplit("::", 1)[1]
            if parent and name.startswith(parent.name):
                name = former_parent.rsplit("::", 1)[1] + name.removeprefix(parent.name)
            found[child_urn(former_parent, type_, name)] = None
    return tuple(sorted(set(found) - {wanted.urn}))


def _declared(wanted: Registration, alias: Any) -> str:
    if alias.HasField("urn"):
        return str(alias.urn)
    spec = alias.spec
    stack, project = wanted.urn.removeprefix("urn:pulumi:").split("::")[:2]
    top = f"urn:pulumi:{spec.stack or stack}::{spec.project or project}::{_STACK}::"
    parent = "" if spec.noParent else spec.parentUrn or wanted.parent
    return child_urn(parent or top, spec.type or wanted.type, spec.name or wanted.name)

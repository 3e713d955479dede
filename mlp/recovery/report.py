"""Output of `mlp recover`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mlp.recovery.answers import Action, Answer
from mlp.recovery.operation import Recovered

if TYPE_CHECKING:
    from rich.table import Table

_HELM = "kubernetes:helm.sh/v3:Release"


def table(answers: Iterable[Answer]) -> Table:
    """Return a table with one row for each unfinished operation."""
    from rich.markup import escape
    from rich.table import Table

    shown = Table("unfinished", "what to do", box=None, pad_edge=False)
    shown.add_column("id", overflow="fold")  # to be copied: never cut
    shown.add_column("why", overflow="fold")
    for one in answers:
        kind = one.operation.resource.type.rpartition(":")[2]
        cells = (f"{kind} {one.operation.resource.name}", one.action.value, one.id or "", one.why)
        shown.add_row(*map(escape, cells))
    return shown


def as_data(recovered: Recovered) -> dict[str, Any]:
    """Return the answers as plain values."""
    return {
        "applied": recovered.applied,
        "operations": [
            {
                "urn": one.operation.resource.urn,
                "type": one.operation.resource.type,
                "operation": one.operation.type,
                "action": one.action.value,
                "id": one.id,
                "why": one.why,
            }
            for one in recovered.answers
        ],
    }


def next_steps(recovered: Recovered, again: str, up: str) -> list[str]:
    """Return what to do then; `again` is this command, and `up` the deployment's."""
    if not recovered.answers:
        return [f"Nothing is unfinished; go on with `{up}`, or with `pulumi destroy`."]
    steps = [] if recovered.applied else [f"Nothing was changed. `{again} --apply` does it."]
    if any(one.action is Action.ASK for one in recovered.answers):
        steps.append(f"Decide what is to be decided, and run `{again} --apply` with that.")
    elif any(one.action is Action.WAIT for one in recovered.answers) and recovered.applied:
        steps.append(f"AWS is still at it: run `{again} --apply` again later.")
    elif recovered.applied:
        steps.append(f"The state is in order; go on with `{up}`, or with `pulumi destroy`.")
    steps += [_lock(one) for one in recovered.answers if _may_be_locked(one)]
    return steps


def _may_be_locked(one: Answer) -> bool:
    return one.operation.resource.type == _HELM and one.operation.type == "updating"


def _lock(one: Answer) -> str:
    inputs = one.operation.resource.inputs
    name, namespace = inputs.get("name"), inputs.get("namespace")
    return (
        f"Where Helm says of {name} that another operation is in progress: "
        f"`kubectl --namespace {namespace} delete secret --selector owner=helm,name={name},status=pending-upgrade`"
    )

"""A state looked at, and, if asked, put in order."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mlp.recovery.answers import Action, Answer, Recovery
from mlp.recovery.corrected import corrected
from mlp.recovery.exported import Exported, parse
from mlp.recovery.pulumi import Stack
from mlp.shared.aws_session import Clients
from mlp.shared.errors import PlatformError
from mlp.shared.progress import Progress, during

_SOURCE = "the output of `pulumi stack export`"
PAUSE_S = 20
PAUSES = 120
"""How often AWS is asked whether it is ready: 40 minutes in all, the longest that a cluster or a database took."""


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """What was found unfinished, and whether it was put in order."""

    answers: tuple[Answer, ...]
    applied: bool

    @property
    def open(self) -> tuple[Answer, ...]:
        """Return the answers that are not carried out."""
        return tuple(one for one in self.answers if one.open or not self.applied)


def look(
    state: Exported, clients: Callable[[str], Clients], ids: Mapping[str, str], progress: Progress
) -> tuple[Answer, ...]:
    """Return what is right for each unfinished operation; nothing is changed."""
    with during(progress, f"{len(state.operations)} unfinished operations"):
        return tuple(Recovery(state, clients, ids).answers())


def recover(
    stack: Stack,
    clients: Callable[[str], Clients],
    ids: Mapping[str, str],
    progress: Progress,
    *,
    apply: bool,
    pause: Callable[[], None],
) -> Recovered:
    """Look at a stack's unfinished operations and, with `apply`, put its state in order.

    Waits for what AWS is still making. Each step may be repeated: a run that is killed here is followed by another one.
    """
    state = parse(stack.export(), _SOURCE)
    answers = look(state, clients, ids, progress)
    if not apply or not answers:
        return Recovered(answers=answers, applied=apply)
    for _ in range(PAUSES):
        making = [one.operation.resource.name for one in answers if one.action is Action.WAIT]
        if not making:
            break
        with during(progress, f"AWS is still at {', '.join(making)}"):
            pause()
        answers = look(state, clients, ids, progress)
    return _applied(stack, state, answers, progress)


def _applied(stack: Stack, state: Exported, answers: tuple[Answer, ...], progress: Progress) -> Recovered:
    with during(progress, "state"):
        stack.replace(json.dumps(corrected(state, answers)))
    known = {one.urn for one in state.resources}
    removed = [one for one in answers if one.action is Action.REMOVE]
    read = [one for one in answers if one.action is Action.ADOPT or one in removed]
    read += [one for one in answers if one.action is Action.REFRESH and one.operation.resource.urn in known]
    try:
        if read:
            with during(progress, f"refresh of {len(read)}"):
                stack.refresh(_urns(read))
        there = {one.urn for one in parse(stack.export(), _SOURCE).resources} if removed else set()
        half_made = [urn for urn in _urns(removed) if urn in there]
        if half_made:
            with during(progress, f"deletion of {len(half_made)} that may be there in part"):
                stack.delete(half_made)
    except PlatformError as error:
        half = "".join(f" --target '{urn}'" for urn in _urns(removed))
        then = f"`pulumi destroy --stack {stack.name}{half}`, then " if half else ""
        raise PlatformError(
            f"{error}\n  All is in the state now; when the cause is gone: {then}`pulumi up --refresh`."
        ) from error
    return Recovered(answers=answers, applied=True)


def _urns(answers: list[Answer]) -> list[str]:
    return list(dict.fromkeys(one.operation.resource.urn for one in answers))

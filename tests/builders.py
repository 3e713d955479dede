"""What tests of components share: a way to deploy one, and to look at what was registered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from mlp.engine.cloud import Registration
from mlp.engine.clouds.recording import RecordingCloud
from mlp.engine.deployment import Deployment, run_declaration
from mlp.engine.values import revealed
from mlp.plan.planning import plan


def deploy(declare: Callable[[], object]) -> Deployment:
    """Run `declare` against the recording cloud; when it returns, every registration has landed."""
    return run_declaration(declare, RecordingCloud())


@cache
def planned(stack: str) -> list[Deployment]:
    """What the committed programs put there as `stack`, made once in a process: a plan takes seconds."""
    return plan(stack)


def inputs_of(deployment: Deployment, type_: str) -> dict[str, Mapping[str, Any]]:
    """The inputs, secrets opened, of every resource of one type, by logical name."""
    return {one.wanted.name: revealed(one.wanted.inputs) for one in deployment.of_type(type_)}


def wanted(deployment: Deployment, type_: str) -> dict[str, Registration]:
    """The registrations of one type, by logical name."""
    return {one.wanted.name: one.wanted for one in deployment.of_type(type_)}


def ancestors(deployment: Deployment, urn: str) -> set[str]:
    """All that stands before `urn` is made, and goes only after it is gone."""
    found: set[str] = set()
    todo = [urn]
    while todo:
        one = deployment.resources[todo.pop()].wanted
        needed = {*one.dependencies, *filter(None, [one.provider])}
        todo += needed - found
        found |= needed
    return found

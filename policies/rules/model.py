"""What a rule sees and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class PlannedResource:
    """A resource as it is about to be: its inputs under the provider's own (camelCase) names."""

    urn: str
    type: str
    name: str
    properties: Mapping[str, Any]
    dependencies: tuple[str, ...] = ()
    """URNs of what its inputs come from."""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A rule that a resource breaks. The message names the thing, the value found and what is allowed."""

    rule: str
    urn: str
    message: str


Plan = Sequence[PlannedResource]
Finding = tuple[PlannedResource, str]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One thing that must hold; `check` yields each resource that breaks it, with a message."""

    name: str
    description: str
    check: Callable[[Plan], Iterable[Finding]]


def violations_of(rules: Iterable[Rule], plan: Plan) -> list[Violation]:
    """Everything in `plan` that breaks one of `rules`, ordered by rule and resource."""
    found = [
        Violation(rule=rule.name, urn=resource.urn, message=message)
        for rule in rules
        for resource, message in rule.check(plan)
    ]
    return sorted(found, key=lambda violation: (violation.rule, violation.urn, violation.message))

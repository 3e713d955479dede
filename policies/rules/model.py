"""The input and output of rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Final

STACK: Final = "pulumi:pulumi:Stack"
"""Type of the resource whose properties are a stack's outputs."""


class Unknown:
    """A value that a preview cannot know, since the cloud computes it. No rule reports one."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Final = Unknown()


class Level(StrEnum):
    """The consequence of a broken rule: the deployment is refused, the rule only reports, or it is off."""

    MANDATORY = "mandatory"
    ADVISORY = "advisory"
    OFF = "off"


@dataclass(frozen=True, kw_only=True)
class PlannedResource:
    """A resource to be created, under the provider's own (camelCase) property names.

    Every property may be absent, `UNKNOWN` or of an odd shape: see `reading.py`.
    """

    urn: str
    type: str
    name: str
    properties: Any
    """Properties by name; `UNKNOWN` as a whole while the provider, such as a new cluster's, is not known."""
    dependencies: tuple[str, ...] = ()
    """URNs of the resources that its inputs come from."""
    protect: bool = False
    """Whether Pulumi refuses to delete it."""
    default_tags: Any = field(default_factory=dict)
    """Tags that its provider adds to all resources; `UNKNOWN` where the provider is not known."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """The facts beside the plan that a rule may use.

    `environment` is the stack's name; `monthly_usd` the price of the environment without use, None if it was not
    computed. With `marks_secrets`, secrets stand in the plan as `[secret]`, and `secret_values` holds them.
    """

    environment: str
    today: date
    monthly_usd: float | None = None
    marks_secrets: bool = True
    secret_values: frozenset[str] = frozenset()


Plan = Sequence[PlannedResource]
Finding = tuple[PlannedResource, str]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A requirement; `check` yields each resource that breaks it, with a message.

    Its level is `level`, except in the environments of `level_overrides`, which have another.
    """

    name: str
    description: str
    check: Callable[[Plan, Context], Iterable[Finding]]
    level: Level = Level.MANDATORY
    level_overrides: Mapping[str, Level] = field(default_factory=dict)
    whole_plan: bool = False
    """Whether it needs the whole plan; other rules check each resource by itself."""
    offline_only_reason: str | None = None
    """Reason why Pulumi's pack cannot run it; None if it can."""

    def level_in(self, environment: str) -> Level:
        """Return its level in `environment`; in an unknown one, as in production."""
        return self.level_overrides.get(environment, self.level)

    @property
    def levels(self) -> set[Level]:
        """Return every level that it has in some environment."""
        return {self.level, *self.level_overrides.values()} - {Level.OFF}


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A rule that a resource breaks. The message names the resource, the value found and what is allowed."""

    rule: str
    level: Level
    urn: str
    message: str


def of_type(plan: Plan, *types: str) -> list[PlannedResource]:
    """Return the resources of the given types."""
    return [one for one in plan if one.type in types]

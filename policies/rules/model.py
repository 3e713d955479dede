"""What a rule sees and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Final

STACK: Final = "pulumi:pulumi:Stack"
"""The type under which a stack's outputs are the properties of a resource."""


class Unknown:
    """A value that a preview cannot know: the cloud gives it. No rule speaks of one."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Final = Unknown()


class Level(StrEnum):
    """What becomes of a broken rule: nothing is deployed, it is told, or it is not asked."""

    MANDATORY = "mandatory"
    ADVISORY = "advisory"
    OFF = "off"


@dataclass(frozen=True, kw_only=True)
class PlannedResource:
    """A resource as it is about to be, under the provider's own (camelCase) names of properties.

    Of every property it may be that it is absent, `UNKNOWN` or of an odd shape: see `reading.py`.
    """

    urn: str
    type: str
    name: str
    properties: Any
    """A mapping by name; `UNKNOWN` as a whole while what makes the resource, such as a new cluster, is not known."""
    dependencies: tuple[str, ...] = ()
    """URNs of what its inputs come from."""
    protect: bool = False
    """Whether Pulumi refuses to delete it."""
    default_tags: Any = field(default_factory=dict)
    """The tags that its provider puts on all it makes; `UNKNOWN` where the provider is not."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a rule may know beside the plan.

    `environment` is the stack's name; `monthly_usd` the price of the environment when nobody uses it, None where nobody
    computed it. With `marks_secrets`, what is secret stands in the plan as `[secret]`, and `secret_values` holds it.
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
    """One thing that must hold; `check` yields each resource that breaks it, with a message.

    It is asked as `level`, but in the environments of `eased`, which have another.
    """

    name: str
    description: str
    check: Callable[[Plan, Context], Iterable[Finding]]
    level: Level = Level.MANDATORY
    eased: Mapping[str, Level] = field(default_factory=dict)
    whole_plan: bool = False
    """Whether it needs more than one resource to say what is wrong with one; others are asked of each by itself."""
    offline_alone: str | None = None
    """Why Pulumi's pack cannot ask it, if it cannot."""

    def level_in(self, environment: str) -> Level:
        """How it is asked in `environment`; in one that nobody wrote of, as in production."""
        return self.eased.get(environment, self.level)

    @property
    def levels(self) -> set[Level]:
        """Every level at which it may speak."""
        return {self.level, *self.eased.values()} - {Level.OFF}


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A rule that a resource breaks. The message names the thing, the value found and what is allowed."""

    rule: str
    level: Level
    urn: str
    message: str


def of_type(plan: Plan, *types: str) -> list[PlannedResource]:
    """The resources of these types."""
    return [one for one in plan if one.type in types]

"""The duration of bring-up: a plan's dependencies with typical durations, and the critical path.

A resource without dependencies starts at once; any other starts when its dependencies are complete, as in Pulumi.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

from mlp.engine.cloud import Registration
from mlp.engine.types import facts_of
from mlp.plan.planned import ProgramPlan
from mlp.shared.errors import PlatformError

FORMAT = 1
"""Version of the data that `as_data` returns."""
_SLOWEST = 10


@dataclass(frozen=True, kw_only=True)
class Step:
    """The creation of a resource; times are in seconds from the start of bring-up."""

    urn: str
    name: str
    type: str
    start: int
    seconds: int
    slack: int
    """Longest delay of it, in seconds, that does not delay the end of bring-up."""

    @property
    def end(self) -> int:
        """Return the time at which it is complete, in seconds."""
        return self.start + self.seconds


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A dependency on the critical path; without it, and all else the same, bring-up is `saved` seconds shorter."""

    first: str
    then: str
    saved: int


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The bring-up of one program. `steps` are all resources by URN, `chain` is the critical path, in order."""

    program: str
    stack: str
    total: int
    steps: Mapping[str, Step]
    chain: tuple[Step, ...]
    unchain: tuple[Edge, ...]
    """Dependencies of the critical path whose removal helps, the most helpful first."""

    def slowest_others(self) -> list[Step]:
        """Return the resources off the critical path that take longest."""
        on_it = {one.urn for one in self.chain}
        others = [one for one in self.steps.values() if one.urn not in on_it]
        return sorted(others, key=lambda one: (-one.seconds, one.slack, one.urn))[:_SLOWEST]

    def summary(self) -> str:
        """Return the result in one line."""
        longest = max(self.chain, key=lambda one: one.seconds, default=None)
        most = f", {minutes(longest.seconds)} of it {longest.name}" if longest else ""
        return (
            f"{self.program} {self.stack}: about {minutes(self.total)} to bring up {len(self.steps)} resources, "
            f"{len(self.chain)} in a chain{most}"
        )

    def as_data(self) -> dict[str, Any]:
        """Return the timeline as JSON data, in seconds."""
        return {
            "format": FORMAT,
            "program": self.program,
            "stack": self.stack,
            "total_s": self.total,
            "chain": [one.urn for one in self.chain],
            "unchain": [{"first": one.first, "then": one.then, "saved_s": one.saved} for one in self.unchain],
            "steps": {
                one.urn: {"start_s": one.start, "duration_s": one.seconds, "slack_s": one.slack}
                for one in self.steps.values()
            },
        }


def timeline(plan: ProgramPlan) -> Timeline:
    """Return when each resource of a plan is complete.

    Raise PlatformError where dependencies run in a circle, and for a type without a row.
    """
    entries = {urn: one for urn, one in plan.resources.items() if one.custom}
    needs = _needs(plan)
    seconds = {urn: facts_of(one.type).duration(one.inputs).seconds for urn, one in entries.items()}
    order = _ordered(needs)
    ends = _ends(order, needs, seconds)
    total = max(ends.values(), default=0)
    latest = _latest_ends(order, needs, seconds, total)
    steps = {
        urn: Step(
            urn=urn,
            name=entries[urn].name,
            type=entries[urn].type,
            start=ends[urn] - seconds[urn],
            seconds=seconds[urn],
            slack=latest[urn] - ends[urn],
        )
        for urn in order
    }
    chain = _chain(needs, ends)
    return Timeline(
        program=plan.program,
        stack=plan.stack,
        total=total,
        steps=steps,
        chain=tuple(steps[urn] for urn in chain),
        unchain=_helpful(chain, order, needs, seconds, total),
    )


def minutes(seconds: int) -> str:
    """Return a duration for people: `16 min`; in whole seconds below two minutes."""
    return f"{seconds} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _needs(plan: ProgramPlan) -> dict[str, frozenset[str]]:
    """Return the dependencies of each resource; one on a component is one on all its resources."""
    children: dict[str, list[Registration]] = {}
    for entry in plan.resources.values():
        if entry.parent:
            children.setdefault(entry.parent, []).append(entry)

    def made_by(urn: str) -> Iterator[str]:
        entry = plan.resources.get(urn)
        if entry is None:
            return  # of another program, and there already
        if entry.custom:
            yield urn
        else:
            for child in children.get(urn, ()):
                yield from made_by(child.urn)

    return {
        entry.urn: frozenset(
            found for urn in (*entry.dependencies, *filter(None, [entry.provider])) for found in made_by(urn)
        )
        - {entry.urn}
        for entry in plan.resources.values()
        if entry.custom
    }


def _ordered(needs: Mapping[str, frozenset[str]]) -> list[str]:
    try:
        return list(TopologicalSorter({urn: sorted(needs[urn]) for urn in sorted(needs)}).static_order())
    except CycleError as error:
        circle = " -> ".join(urn.rpartition("::")[2] for urn in error.args[1])
        raise PlatformError(f"resources wait for each other: {circle}; take out one of these dependencies") from None


def _ends(order: Sequence[str], needs: Mapping[str, frozenset[str]], seconds: Mapping[str, int]) -> dict[str, int]:
    ends: dict[str, int] = {}
    for urn in order:
        ends[urn] = max((ends[one] for one in needs[urn]), default=0) + seconds[urn]
    return ends


def _latest_ends(
    order: Sequence[str], needs: Mapping[str, frozenset[str]], seconds: Mapping[str, int], total: int
) -> dict[str, int]:
    latest = dict.fromkeys(order, total)
    for urn in reversed(order):
        for one in needs[urn]:
            latest[one] = min(latest[one], latest[urn] - seconds[urn])
    return latest


def _chain(needs: Mapping[str, frozenset[str]], ends: Mapping[str, int]) -> list[str]:
    """Return the critical path, found backwards from the last resource by each one's latest dependency."""
    chain: list[str] = []
    waited_for = frozenset(ends)
    while waited_for:
        last = max(sorted(waited_for), key=lambda urn: ends[urn])
        chain.append(last)
        waited_for = needs[last]
    return chain[::-1]


def _helpful(
    chain: Sequence[str],
    order: Sequence[str],
    needs: Mapping[str, frozenset[str]],
    seconds: Mapping[str, int],
    total: int,
) -> tuple[Edge, ...]:
    found = []
    for first, then in pairwise(chain):
        without = {**needs, then: needs[then] - {first}}
        saved = total - max(_ends(order, without, seconds).values())
        if saved:
            found.append(Edge(first=first, then=then, saved=saved))
    return tuple(sorted(found, key=lambda one: -one.saved))

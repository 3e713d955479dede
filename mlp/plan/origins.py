"""Where the values of a plan come from: what only a provider knows, and what is made of which resources' outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlp.engine.deployment import Resource
from mlp.engine.values import shown
from mlp.plan.placeholders import replaced

_SHORTEST = 8
"""Fewest characters of a text that tells by itself from which resource it is."""


@dataclass(frozen=True, kw_only=True)
class Origins:
    """The origins of the values in a plan; those of a plan that was read from a file are not known."""

    computed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Texts in the outputs of a resource, by URN, that are none of its inputs and of no other resource's outputs."""
    sources: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    """URNs of the resources of whose outputs an input is made, by the URN of the resource and the input."""


def origins(resources: Mapping[str, Resource], known: Mapping[str, str]) -> Origins:
    """Return the origins of the values in `resources`, by URN; `known` are the symbols of the plan."""
    computed = {
        urn: frozenset(replaced(list(_computed(one.wanted.inputs, one.created.outputs)), known))
        for urn, one in resources.items()
        if one.created
    }
    counts = Counter(text for found in computed.values() for text in found)
    return Origins(
        computed={urn: frozenset(one for one in found if counts[one] == 1) for urn, found in computed.items()},
        sources={
            urn: {key: frozenset(urns) for key, urns in one.sources.items()}
            for urn, one in resources.items()
            if one.sources
        },
    )


def _computed(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Iterator[str]:
    given = {*texts(shown(inputs))}
    for key, value in shown(outputs).items():
        of_its_own = key not in inputs and isinstance(value, str)
        yield from (one for one in texts(value) if len(one) >= _SHORTEST and (of_its_own or one not in given))


def texts(value: Any) -> Iterator[str]:
    """Yield all texts in `value`."""
    match value:
        case str():
            yield value
        case Mapping():
            for one in value.values():
                yield from texts(one)
        case list() | tuple():
            for one in value:
                yield from texts(one)

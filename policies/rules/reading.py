"""Readers of properties that may be absent, unknown or of an odd shape; none of them raises."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from policies.rules.model import UNKNOWN

_NESTED_JSON_KEPT = 512  # texts; dashboards are long, and several rules look into them


def at(value: Any, *keys: str) -> Any:
    """Return the value below `keys`: None where there is none, `UNKNOWN` where the path there is unknown."""
    for key in keys:
        if value is UNKNOWN:
            return UNKNOWN
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def listed(value: Any) -> list[Any]:
    """Return the items of a list; a single value is a list of one, as in AWS's documents and Pulumi's providers."""
    if value is None or value is UNKNOWN:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def texts(value: Any) -> list[str]:
    """Return the items of a list that are text."""
    return [one for one in listed(value) if isinstance(one, str)]


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """Return the items of a list that are mappings."""
    return [one for one in listed(value) if isinstance(one, Mapping)]


def is_on(value: Any) -> bool:
    """Return whether a switch is on, or may be: launch templates and storage classes spell it as text."""
    return value is True or value == "true" or value is UNKNOWN


def number(value: Any) -> float | None:
    """Return the number that `value` is or spells; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def parsed(value: Any) -> Any:
    """Return the content of text that holds a JSON object or array; None for other text, else the value itself."""
    if not isinstance(value, str):
        return value
    return _parsed(value) if value.lstrip()[:1] in ("{", "[") else None


@lru_cache(maxsize=_NESTED_JSON_KEPT)
def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def pairs(value: Any) -> Iterable[tuple[Any, Any]]:
    """Return the entries of a mapping; none of anything else."""
    return value.items() if isinstance(value, Mapping) else ()


def inside(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every mapping within `value`, itself included, and within JSON in its texts."""
    todo = [value]
    while todo:
        one = parsed(todo.pop())
        if isinstance(one, Mapping):
            yield one
            todo += one.values()
        elif isinstance(one, list | tuple):
            todo += one


def statements(document: Any) -> list[Mapping[str, Any]]:
    """Return the statements of a policy that allow something; none of a document that cannot be read yet."""
    return [one for one in all_statements(document) if at(one, "Effect") == "Allow"]


def all_statements(document: Any) -> list[Mapping[str, Any]]:
    """Return the statements of a policy, given as text or as a mapping."""
    return mappings(at(parsed(document), "Statement"))

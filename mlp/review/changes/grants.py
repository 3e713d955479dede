"""The grants of a policy document, and what a newer one grants beyond them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

Conditions = Mapping[tuple[str, str], frozenset[str]]
_ANY_OF = ("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "IpAddress")
"""Operators that match any of the values: fewer values are a narrower condition. For others only equal values count."""
_READ = {"Sid", "Effect", "Action", "Resource", "Principal", "Condition"}


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One action on one resource for one principal, allowed or denied under conditions. A trust has no resource."""

    effect: str
    action: str
    resource: str
    principal: str
    conditions: Conditions

    def covers(self, other: Grant) -> bool:
        """Return whether this includes everything that `other` does."""
        return (
            self.effect == other.effect
            and _matches(other.action.lower(), self.action.lower())
            and _matches(other.resource, self.resource)
            and self.principal in (other.principal, "*")
            and all(_is_implied_by(key, values, other.conditions.get(key)) for key, values in self.conditions.items())
        )

    def __str__(self) -> str:
        """Return the grant in words."""
        words = [self.principal or "it", "may" if self.effect == "Allow" else "is denied", self.action]
        if self.resource:
            words += ["on", self.resource]
        tests = [f"{key} {operator} {', '.join(sorted(values))}" for (operator, key), values in self.conditions.items()]
        return " ".join(words) + (f" if {' and '.join(tests)}" if tests else "")


@dataclass(frozen=True, kw_only=True)
class Widened:
    """What a newer document allows in addition: new grants, removed denials, statements that are not analysed."""

    allowed: tuple[Grant, ...] = ()
    no_longer_denied: tuple[Grant, ...] = ()
    unread: bool = False

    def __bool__(self) -> bool:
        return bool(self.allowed or self.no_longer_denied or self.unread)


def _matches(text: str, pattern: str) -> bool:
    return text == pattern or fnmatchcase(text, pattern.replace("[", "[[]"))  # IAM knows only * and ?


def is_policy(value: Any) -> bool:
    """Return whether a structured value is a policy document."""
    return isinstance(value, Mapping) and "Statement" in value


def widened(old: Any, new: Any) -> Widened:
    """Return what `new` allows and `old` does not; both are policy documents or values that allow nothing.

    Statements are split into grants, so that neither their order nor the spread of grants over them matters.
    """
    before, after = list(_grants(old)), list(_grants(new))
    allowed = [one for one in after if one.effect == "Allow" and not any(was.covers(one) for was in before)]
    no_longer_denied = [one for one in before if one.effect == "Deny" and not any(now.covers(one) for now in after)]
    return Widened(
        allowed=tuple(allowed), no_longer_denied=tuple(no_longer_denied), unread=_unread(old) != _unread(new)
    )


def _statements(document: Any) -> Sequence[Mapping[str, Any]]:
    if not is_policy(document):
        return []
    statements = document["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _grants(document: Any) -> Iterator[Grant]:
    for one in _statements(document):
        if set(one) <= _READ:
            conditions = {
                (operator, key): frozenset(_many(values))
                for operator, tests in one.get("Condition", {}).items()
                for key, values in tests.items()
            }
            for action, resource, principal in product(
                _many(one.get("Action")), _many(one.get("Resource", "")), _principals(one.get("Principal", ""))
            ):
                yield Grant(
                    effect=one["Effect"], action=action, resource=resource, principal=principal, conditions=conditions
                )


def _unread(document: Any) -> set[str]:
    """Return statements that are not analysed (`NotAction` and the like), as JSON; people review them."""
    return {json.dumps(one, sort_keys=True) for one in _statements(document) if not set(one) <= _READ}


def _principals(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [one for names in value.values() for one in _many(names)]
    return _many(value)


def _many(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _is_implied_by(key: tuple[str, str], values: frozenset[str], other: frozenset[str] | None) -> bool:
    """Return whether a condition holds wherever the `other` one on the same operator and key does."""
    if other is None:
        return False
    return other <= values if key[0] in _ANY_OF else other == values

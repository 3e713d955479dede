"""Judges IAM documents as AWS does, for the parts of the language that this platform uses.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html. Anything it does not
know (another condition operator, NotAction, a policy variable) raises, so that no test passes by misreading.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_KNOWN_KEYS = {"Sid", "Effect", "Action", "Resource", "Principal", "Condition"}


def allows(
    documents: Sequence[Mapping[str, Any]], *, action: str, resource: str, context: Mapping[str, str] | None = None
) -> bool:
    """Whether an identity with these policies may do `action` with `resource`; an explicit Deny wins."""
    effects = {
        statement["Effect"]
        for document in documents
        for statement in _statements(document)
        if _fits(statement, action, context or {}) and _matches(statement["Resource"], resource)
    }
    return "Allow" in effects and "Deny" not in effects


def denies(
    document: Mapping[str, Any], *, action: str, resource: str, context: Mapping[str, str] | None = None
) -> bool:
    """Whether a resource's own policy refuses everyone `action`, whatever other policies allow."""
    return any(
        statement["Effect"] == "Deny"
        and statement.get("Principal") == "*"
        and _fits(statement, action, context or {})
        and _matches(statement["Resource"], resource)
        for statement in _statements(document)
    )


def trusts(
    document: Mapping[str, Any], *, action: str, principal: Mapping[str, str], context: Mapping[str, str] | None = None
) -> bool:
    """Whether `principal`, for example `{"Service": "ec2.amazonaws.com"}`, may do `action` by this trust policy.

    `context` holds the claims of a web identity's token, for example `{"<issuer>:sub": "..."}`.
    """
    effects = {
        statement["Effect"]
        for statement in _statements(document)
        if _fits(statement, action, context or {}) and _is(principal, statement["Principal"])
    }
    return "Allow" in effects and "Deny" not in effects


def _statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if document["Version"] != "2012-10-17":
        raise NotImplementedError(f"policy version {document['Version']}")
    statements: list[Mapping[str, Any]] = _as_list(document["Statement"])
    for statement in statements:
        if unknown := set(statement) - _KNOWN_KEYS:
            raise NotImplementedError(f"statement keys {', '.join(sorted(unknown))}")
    return statements


def _fits(statement: Mapping[str, Any], action: str, context: Mapping[str, str]) -> bool:
    return _matches(statement["Action"], action, ignore_case=True) and all(
        _holds(operator, key, _as_list(values), context)
        for operator, tests in statement.get("Condition", {}).items()
        for key, values in tests.items()
    )


def _holds(operator: str, key: str, values: list[str], context: Mapping[str, str]) -> bool:
    found = {name.lower(): value for name, value in context.items()}.get(key.lower())
    match operator:
        case "Null":
            return (found is None) == (values == ["true"])
        case "StringEquals":
            return found in values
        case "StringEqualsIfExists":
            return found is None or found in values
        case "StringLike":
            return found is not None and _matches(values, found)
        case "ArnLike" | "ArnEquals":
            return found is not None and _matches(values, found)
        case "Bool":
            return found is not None and found.lower() in [value.lower() for value in values]
        case _:
            raise NotImplementedError(f"condition operator {operator}")


def _is(principal: Mapping[str, str], allowed: Any) -> bool:
    if allowed == "*":
        return True
    return any(value in _as_list(allowed.get(kind, [])) for kind, value in principal.items())


def _matches(patterns: Any, text: str, *, ignore_case: bool = False) -> bool:
    return any(_matches_one(pattern, text, ignore_case=ignore_case) for pattern in _as_list(patterns))


def _matches_one(pattern: str, text: str, *, ignore_case: bool) -> bool:
    if "${" in pattern:
        raise NotImplementedError(f"policy variable in {pattern}")
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, text, re.IGNORECASE if ignore_case else 0) is not None


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

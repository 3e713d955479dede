"""Small plans, and what the rules say of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from policies.rules import RULES, Context, PlannedResource

TODAY = date(2026, 11, 21)
RULE = {rule.name: rule for rule in RULES}
DIGEST = "@sha256:" + "0a" * 32


def context(environment: str = "prod", **changes: Any) -> Context:
    return Context(**{"environment": environment, "today": TODAY, **changes})


def resource(
    type_: str,
    properties: Mapping[str, Any] | None = None,
    *,
    name: str = "thing",
    depends_on: Iterable[PlannedResource] = (),
    **changes: Any,
) -> PlannedResource:
    return PlannedResource(
        urn=f"urn:pulumi:prod::ml-platform::{type_}::{name}",
        type=type_,
        name=name,
        properties=properties or {},
        dependencies=tuple(one.urn for one in depends_on),
        **changes,
    )


def messages(rule: str, *plan: PlannedResource, **known: Any) -> list[str]:
    """What one rule says of a plan."""
    return [message for _, message in RULE[rule].check(plan, context(**known))]


def document(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})

"""The old and new names of moved resources, so that plans can be compared as if nothing had moved."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from mlp.engine.cloud import Registration, hex_digits
from mlp.plan.placeholders import mapped
from mlp.plan.planned import ProgramPlan

_HASH = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{6,64}|[0-9A-F]{6,64}")
"""Pattern of the digits at the end of the recording cloud's ids, a hash of the URN, perhaps written as a UUID."""
_SHORTEST = 6


class Moves:
    """The old names of resources, and the new ones."""

    def __init__(self, pairs: Iterable[tuple[Registration, Registration]]) -> None:
        pairs = list(pairs)
        self._urns = {old.urn: new.urn for old, new in pairs}
        self._ids = {old.id: new.id for old, new in pairs if old.name != new.name and old.id and new.id}
        digits = [(hex_digits(old.urn, 64), hex_digits(new.urn, 64)) for old, new in pairs]
        self._digits = {old[:_SHORTEST]: (old, new) for old, new in digits}

    def __bool__(self) -> bool:
        return bool(self._urns)

    def plan(self, plan: ProgramPlan) -> ProgramPlan:
        """Return the plan with the new names; its resources keep their URNs."""
        resources = {urn: self._entry(one) for urn, one in plan.resources.items()}
        return replace(plan, resources=resources, outputs=self.value(plan.outputs))

    def value(self, value: Any) -> Any:
        """Return a value with the new names."""
        return mapped(value, self._text)

    def _entry(self, one: Registration) -> Registration:
        provider, deleted_with = (self._urns.get(urn, urn) if urn else None for urn in (one.provider, one.deleted_with))
        return replace(
            one,
            id=self.value(one.id),
            inputs=self.value(one.inputs),
            provider=provider,
            deleted_with=deleted_with,
            # A digest cannot be given the new names, so it no longer says anything.
            secrets={} if self._urns.keys() & {*one.dependencies} else one.secrets,
        )

    def _text(self, text: str) -> str:
        for old, new in self._ids.items():
            text = text.replace(old, new)
        return _HASH.sub(self._hash, text)

    def _hash(self, match: re.Match[str]) -> str:
        text = match[0]
        digits = text.replace("-", "").lower()
        old, new = self._digits.get(digits[:_SHORTEST], ("", ""))
        if not old.startswith(digits):
            return text
        rest = iter(new.upper() if text.isupper() else new)
        return "".join(one if one == "-" else next(rest) for one in text)

"""The differences between two values, compared as structures.

JSON in a text is compared by its content: neither the order of keys in a policy document nor its spaces matter. Entries
of a list are matched by their names, so that one removed from the middle is one difference.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final


class _Absent:
    def __repr__(self) -> str:
        return "(none)"


ABSENT: Final = _Absent()
"""Placeholder of a value that does not exist."""
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_SHORTEST_SCRIPT = 64
_IDENTITIES = ("name", "key", "id", "Sid", "sid", "address")


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """A field that differs. `keys` lead to it; those in brackets are positions in a list."""

    keys: tuple[str, ...]
    old: Any
    new: Any

    @property
    def path(self) -> str:
        """Return the path of the field, as people write it: `spec.containers[name=web].image`."""
        text = ""
        for key in self.keys:
            if key.startswith("["):
                text += key
            elif "." in key or "/" in key:
                text += f'["{key}"]'
            else:
                text += f".{key}" if text else key
        return text

    @property
    def fields(self) -> tuple[str, ...]:
        """Return `keys` without positions in lists."""
        return tuple(key for key in self.keys if not key.startswith("["))


def structured(value: Any) -> Any:
    """Return the value with encoded texts decoded, at any depth: JSON, and scripts in base64 (user data)."""
    match value:
        case str() if len(value) >= _SHORTEST_SCRIPT and _BASE64.fullmatch(value):
            return _script(value)
        case str() if value[:1] in ("{", "["):
            try:
                inner = json.loads(value)
            except ValueError:
                return value
            return structured(inner) if isinstance(inner, dict | list) else value
        case Mapping():
            return {key: structured(item) for key, item in value.items()}
        case list() | tuple():
            return [structured(item) for item in value]
        case _:
            return value


def _script(value: str) -> str:
    try:
        text = base64.b64decode(value, validate=True).decode()
    except ValueError:
        return value
    return text if "\n" in text else value


def differences(old: Any, new: Any, keys: tuple[str, ...] = ()) -> Iterator[FieldChange]:
    """Yield what differs between two structured values, in the order of their keys."""
    if old == new and type(old) is type(new):
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from differences(old.get(key, ABSENT), new.get(key, ABSENT), (*keys, str(key)))
    elif isinstance(old, list) and isinstance(new, list) and any(isinstance(one, Mapping) for one in (*old, *new)):
        for place, one, other in _paired(_unordered(old), _unordered(new)):
            yield from differences(one, other, (*keys, f"[{place}]"))
    else:
        yield FieldChange(keys=keys, old=old, new=new)


def _paired(old: Sequence[Any], new: Sequence[Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield matching entries with their position: by name where each has a unique one, else by position."""
    for identity in _IDENTITIES:
        before, after = _by(identity, old), _by(identity, new)
        if before is not None and after is not None:
            for name in dict.fromkeys([*after, *before]):
                yield f"{identity}={name}", before.get(name, ABSENT), after.get(name, ABSENT)
            was, now = ([name for name in names if name in before and name in after] for names in (before, after))
            if was != now:
                yield "order", was, now
            return
    was, now = ([json.dumps(one, sort_keys=True, default=str) for one in entries] for entries in (old, new))
    for tag, start, end, new_start, new_end in SequenceMatcher(a=was, b=now, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        for offset in range(max(end - start, new_end - new_start)):
            before_at, after_at = start + offset, new_start + offset
            one = old[before_at] if before_at < end else ABSENT
            other = new[after_at] if after_at < new_end else ABSENT
            yield str(before_at if other is ABSENT else after_at), one, other


def _by(identity: str, entries: Sequence[Any]) -> dict[str, Any] | None:
    """Return the entries by what identifies them; None unless each has a unique name."""
    if not all(isinstance(one, dict) and isinstance(one.get(identity), str) for one in entries):
        return None
    named = {one[identity]: one for one in entries}
    return named if len(named) == len(entries) else None


def _unordered(entries: list[Any]) -> list[Any]:
    """Return a policy's statements, and the lists in each, in one order: AWS treats them as sets."""
    if not all(isinstance(one, dict) and "Effect" in one for one in entries):
        return entries
    return sorted(map(_statement, entries), key=lambda one: json.dumps(one, sort_keys=True, default=str))


def _statement(value: Any) -> Any:
    match value:
        case dict():
            return {key: _statement(item) for key, item in value.items()}
        case [only]:
            return _statement(only)
        case list():
            return sorted((_statement(item) for item in value), key=str)
        case _:
            return value

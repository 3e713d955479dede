"""Property paths in options, as Pulumi's engine reads them: `tags`, `spec.ports[0].name`, `data["a.b"]`, `rules[*].id`.

Source: pulumi/pulumi, sdk/go/common/resource/property_path.go. Paths are about inputs as they were registered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlp.review.changes.structure import ABSENT
from mlp.shared.errors import PlatformError

Path = tuple[str | int, ...]
ALL = "*"
_PART = re.compile(r'\[("(?:\\"|[^"])*"|\*|[0-9]+)\]|\.?([^.\[]+)')


class MissingError(LookupError):
    """A path whose value exists on one side alone."""


def parsed(path: str) -> Path:
    """Return the keys of `path`, with list indexes as numbers. Raise PlatformError for an invalid path."""
    parts: list[str | int] = []
    rest = path
    while match := _PART.match(rest):
        place, name = match.groups()
        if place is None:
            parts.append(name)
        elif place.startswith('"'):
            parts.append(place[1:-1].replace('\\"', '"'))
        else:
            parts.append(place if place == ALL else int(place))
        rest = rest[match.end() :]
    if rest or not parts or path.startswith("."):
        raise PlatformError(f'{path!r} is no property path; write a.b, a[0], a[*] or a["b.c"]')
    return tuple(parts)


def restored(old: Any, new: Any, path: Path) -> Any:
    """Return `new` with the value of `old` at `path`.

    Raise MissingError where an entry of a list, or what leads to the path, exists on one side alone: Pulumi's engine
    then refuses the deployment.
    """
    key, rest = path[0], path[1:]
    if key == ALL:
        return _all_restored(old, new, rest)
    if isinstance(key, int):
        return _entry_restored(old, new, key, rest)
    if not isinstance(new, Mapping):
        if isinstance(old, Mapping) and (rest or key in old):
            raise MissingError(key)
        return new
    was = old if isinstance(old, Mapping) else {}
    if not rest:
        others = {name: value for name, value in new.items() if name != key}
        return {**others, key: was[key]} if key in was else others
    if not isinstance(old, Mapping) or (key in was and key not in new):
        raise MissingError(key)
    return {**new, key: restored(was.get(key, ABSENT), new[key], rest)} if key in new else new


def _all_restored(old: Any, new: Any, rest: Path) -> Any:
    match old, new:
        case Mapping(), Mapping() if not rest:
            return dict(old)
        case Mapping(), Mapping() if set(old) <= set(new):
            return {**new, **{key: restored(old[key], new[key], rest) for key in old}}
        case list(), list() if len(old) == len(new):
            return [restored(was, now, rest) if rest else was for was, now in zip(old, new, strict=True)]
        case _ if rest or not isinstance(new, Mapping | list) or (isinstance(old, list) and isinstance(new, list)):
            raise MissingError(ALL)
    return new


def _entry_restored(old: Any, new: Any, place: int, rest: Path) -> Any:
    if not isinstance(old, list) and not isinstance(new, list):
        return new
    if not isinstance(old, list) or not isinstance(new, list):
        raise MissingError(place)
    if not rest and place >= max(len(old), len(new)):
        return new
    if place >= min(len(old), len(new)):
        raise MissingError(place)
    value = restored(old[place], new[place], rest) if rest else old[place]
    return [*new[:place], value, *new[place + 1 :]]


def covers(above: Path, path: Path) -> bool:
    """Return whether `path`, which has no wildcard, is `above` or lies below it."""
    return len(above) <= len(path) and all(one in (ALL, key) for one, key in zip(above, path, strict=False))


def differs(old: Any, new: Any, path: Path) -> bool:
    """Return whether anything at `path` or below it differs between `old` and `new`."""
    if not path:
        return bool(old != new)
    key, rest = path[0], path[1:]
    keys = [*_keys(old), *_keys(new)] if key == ALL else [key]
    return any(differs(at(old, (one,)), at(new, (one,)), rest) for one in keys)


def _keys(value: Any) -> Iterator[str | int]:
    match value:
        case Mapping():
            yield from value
        case list():
            yield from range(len(value))


def at(value: Any, path: Path) -> Any:
    """Return the value at `path`, which has no wildcard; ABSENT where there is none."""
    for key in path:
        match value:
            case Mapping():
                value = value.get(key, ABSENT)
            case list() if isinstance(key, int) and key < len(value):
                value = value[key]
            case _:
                return ABSENT
    return value

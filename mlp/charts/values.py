"""Checks of a release's values against what the chart knows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from mlp.charts.free_maps import BY_CHART, BY_NAME, FreeMap
from mlp.charts.schema_faults import SchemaNode, faults_of_values, written
from mlp.charts.store import ChartData, Dependency

Path = tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """A remark on one value. `checked` is False where the data do not suffice to tell right from wrong."""

    path: Path
    message: str
    checked: bool = True

    def __str__(self) -> str:
        return f"{written(self.path)}: {self.message}"


def findings(values: Mapping[str, Any], chart: ChartData, *, shown: Mapping[str, Any] | None = None) -> list[Finding]:
    """Return the faults of a release's values: by the chart's schema, if any, and by the keys that it knows.

    Helm refuses what breaks a schema; a key that the chart does not know it passes over in silence. `shown` are the
    values as they may be printed.
    """
    shown = values if shown is None else shown
    found = [Finding(path, message) for path, message in _against_schemas(values, chart, shown, path=())]
    already_found = {one.path for one in found}
    unknown = unknown_keys(
        values,
        known_keys(chart),
        free=BY_CHART.get(chart.name, ()),
        schema=chart.schema,
        partial={(one.key,) for one in chart.dependencies if one.name not in chart.subcharts},
    )
    return found + [one for one in unknown if one.path not in already_found]


def unknown_keys(
    values: Mapping[str, Any],
    defaults: Mapping[str, Any],
    *,
    free: Sequence[FreeMap] = (),
    schema: Mapping[str, Any] | None = None,
    partial: Iterable[Path] = (),
) -> list[Finding]:
    """Return every key of `values` that neither `defaults` nor `schema` has, with the nearest known one.

    The keys of a map that is empty or null by default cannot be known: only those in `free` and those that bear one of
    Kubernetes' own names may be given. Of the maps at `partial` not all defaults are at hand.
    """
    return list(_KeyCheck(defaults, free, tuple(partial)).walk(values, defaults, (), SchemaNode.root(schema)))


class _KeyCheck:
    def __init__(self, defaults: Mapping[str, Any], free: Sequence[FreeMap], partial: tuple[Path, ...]) -> None:
        self.free = free
        self.partial = partial
        self.everywhere = list(_paths(defaults, ()))

    def walk(
        self, values: Mapping[str, Any], defaults: Mapping[str, Any], above: Path, schema: SchemaNode
    ) -> Iterator[Finding]:
        for key, value in values.items():
            path = (*above, key)
            listed = next((one for one in self.free if one.covers(path)), None)
            below = schema.property(key)
            if listed:
                yield from _first_level(value, listed, path)
            elif key in defaults or below.exists:
                yield from self._value(value, defaults.get(key), path, below)
            elif not schema.takes_any_key:
                yield self._unknown(path, [*defaults, *schema.names()])

    def _value(self, value: Any, default: Any, path: Path, schema: SchemaNode) -> Iterator[Finding]:
        named = next((one for one in BY_NAME if one.ends(path)), None)
        if isinstance(value, Mapping):
            if named:
                known = default if isinstance(default, Mapping) else {}
                yield from _first_level(value, named, path, (*known, *schema.names()))
            elif isinstance(default, Mapping) and (default or path in self.partial):
                yield from self.walk(value, default, path, schema)
            elif schema.names():
                yield from self.walk(value, {}, path, schema)
            elif value and not schema.takes_any_key:
                yield self._not_free(default, path)
        elif not schema.exists and (wrong := _wrong_kind(value, default)):
            yield Finding(path, wrong, self._is_whole(path))

    def _not_free(self, default: Any, path: Path) -> Finding:
        shown = json.dumps(default)
        message = (
            f"the chart's default is {shown}, which does not tell which keys it takes; if it takes any, list it in "
            "mlp/charts/free_maps.py with the reason"
        )
        return Finding(path, message, self._is_whole(path))

    def _unknown(self, path: Path, siblings: Sequence[str]) -> Finding:
        if not self._is_whole(path):
            return Finding(path, "the data lack the sub-chart's defaults", checked=False)
        nearest = self._nearest(path, siblings)
        hint = f"; the nearest that it has is {written(nearest)}" if nearest else ""
        return Finding(path, f"the chart has no such value{hint}")

    def _nearest(self, path: Path, siblings: Sequence[str]) -> Path | None:
        key = path[-1]
        for alike in get_close_matches(key, siblings, n=1):
            return (*path[:-1], alike)
        elsewhere = [one for one in self.everywhere if one[-1] == key]
        if elsewhere:  # the key of another level: the one that shares most of the way
            return max(elsewhere, key=lambda one: (len(set(one) & set(path)), -len(one)))
        for alike in get_close_matches(".".join(path), [".".join(one) for one in self.everywhere], n=1):
            return next(one for one in self.everywhere if ".".join(one) == alike)
        return None

    def _is_whole(self, path: Path) -> bool:
        return not any(path[: len(one)] == one for one in self.partial)


def _first_level(value: Any, free: FreeMap, path: Path, known: Sequence[str] = ()) -> Iterator[Finding]:
    if isinstance(value, Mapping) and free.keys:
        for key in value:
            if key not in free.keys and key not in known:
                yield Finding((*path, key), f"{free.reason} has {', '.join(free.keys)} only")


def _wrong_kind(value: Any, default: Any) -> str | None:
    """Return how a value of another kind than its default's is misread by templates; None where it is not."""
    if value is None or default is None:
        return None
    if isinstance(default, Mapping):
        return f"the chart has a map there (got {_kind(value)})"
    if isinstance(default, bool) and isinstance(value, str):
        return f"the chart has true or false there, and any text counts as true (got {_kind(value)})"
    return None


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a list" if isinstance(value, list) else "text" if isinstance(value, str) else "a number"


def _paths(values: Mapping[str, Any], above: Path) -> Iterator[Path]:
    for key, value in values.items():
        yield (*above, str(key))
        if isinstance(value, Mapping):
            yield from _paths(value, (*above, str(key)))


def known_keys(chart: ChartData) -> dict[str, Any]:
    """Return the chart's defaults with those of its sub-charts in their places, and what Helm itself reads."""
    known = dict(chart.values)
    for one in chart.dependencies:
        own = known.get(one.key)
        known[one.key] = own if isinstance(own, Mapping) else {}
        if one.name in chart.subcharts:
            known[one.key] = _merged_keys(known[one.key], known_keys(chart.subcharts[one.name]))
    for path in (path for one in chart.dependencies for path in one.conditions):
        known = _merged_keys(known, _at(path))
    if chart.dependencies:
        known.setdefault("global", {})
    return known


def _merged_keys(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of both, those that are null too; where both have one, with the value of `first`."""
    result = {**second, **first}
    for key in first.keys() & second.keys():
        if isinstance(first[key], Mapping) and isinstance(second[key], Mapping):
            result[key] = _merged_keys(first[key], second[key])
    return result


def _at(path: Path) -> dict[str, Any]:
    value: Any = False
    for key in reversed(path):
        value = {key: value}
    return dict(value)


def merged(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Merge `values` over `defaults` as Helm does: maps are merged, lists replaced, null removes."""
    result = dict(defaults)
    for key, value in values.items():
        default = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            result[key] = merged(value, default if isinstance(default, Mapping) else {})
        else:
            result[key] = value
    return result


def _against_schemas(
    values: Mapping[str, Any], chart: ChartData, shown: Mapping[str, Any], *, path: Path
) -> Iterator[tuple[Path, str]]:
    whole = _as_installed(values, chart)
    if chart.schema is not None:
        for below, message in faults_of_values(whole, chart.schema, shown):
            yield (*path, *below), message
    for one in chart.dependencies:
        if one.name in chart.subcharts and _is_installed(one, whole):
            given = shown.get(one.key)
            yield from _against_schemas(
                whole[one.key],
                chart.subcharts[one.name],
                given if isinstance(given, Mapping) else {},
                path=(*path, one.key),
            )


def _as_installed(values: Mapping[str, Any], chart: ChartData) -> dict[str, Any]:
    whole = merged(values, chart.values)
    for one in chart.dependencies:
        if one.name in chart.subcharts and _is_installed(one, whole):
            own = whole.get(one.key)
            theirs = _as_installed(own if isinstance(own, Mapping) else {}, chart.subcharts[one.name])
            whole[one.key] = {**theirs, "global": merged(whole.get("global") or {}, theirs.get("global") or {})}
    return whole


def _is_installed(one: Dependency, values: Mapping[str, Any]) -> bool:
    for path in one.conditions:
        found = _found(values, path)
        if isinstance(found, bool):
            return found
    return True


def _found(values: Any, path: Path) -> Any:
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values

"""Violations of JSON schemas, reported without secrets, and the keys that a schema knows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

Path = tuple[str, ...]
_LONGEST_SHOWN = 80


def faults_of_values(
    values: Mapping[str, Any], schema: Mapping[str, Any], shown: Mapping[str, Any]
) -> Iterator[tuple[Path, str]]:
    """Yield where `values` break a chart's schema, and how; `shown` are the values as they may be printed."""
    kind = validator_for(schema, default=Draft7Validator)
    try:
        yield from faults(kind(schema, registry=Registry()), values, shown)  # a registry that fetches nothing
    except Unresolvable as error:
        yield (), f"the chart's schema refers to {error.ref}, which it does not hold, so that it cannot be checked"


def faults(validator: Validator, value: Any, shown: Any) -> Iterator[tuple[Path, str]]:
    """Yield every fault of `value` with its path; `shown` is the value as it may be printed."""
    for error in sorted(validator.iter_errors(value), key=lambda one: [str(key) for key in one.absolute_path]):
        yield from _described(error, shown)


def _described(error: ValidationError, shown: Any) -> Iterator[tuple[Path, str]]:
    path = tuple(str(key) for key in error.absolute_path)
    schema: Any = error.schema
    wanted: Any = error.validator_value
    match error.validator:
        case "additionalProperties" if isinstance(error.instance, Mapping):
            known = [str(key) for key in schema.get("properties") or ()]
            for key in error.instance:
                if key not in known:
                    nearest = get_close_matches(str(key), known, n=1) or sorted(known)
                    hint = f"the nearest there is {nearest[0]}" if known else "it takes none"
                    yield (*path, str(key)), f"there is no such field; {hint}"
        case "required":
            given: Any = error.instance
            missing = [key for key in wanted if key not in given]
            yield path, f"{', '.join(missing)} must be given"
        case "anyOf" | "oneOf":
            ways = " or ".join(dict.fromkeys(_must(one) for one in error.context or ()))
            yield path, f"{ways or 'must be one of several forms'} ({_value_suffix(shown, error.absolute_path)})"
        case _:
            yield path, f"{_must(error)} ({_value_suffix(shown, error.absolute_path)})"


def _must(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    match error.validator:
        case "type":
            return f"must be of type {wanted if isinstance(wanted, str) else ' or '.join(wanted)}"
        case "enum":
            return f"must be one of {', '.join(json.dumps(one) for one in wanted)}"
        case "pattern":
            return f"must match {wanted}"
        case "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "maximum" | "maxLength" | "maxItems":
            return f"must keep to {error.validator} {wanted}"
        case _:
            return f"must hold {error.validator} {_short(wanted)}"


def _value_suffix(shown: Any, path: Iterable[str | int]) -> str:
    """Return what is at the path, unless it is a default."""
    for key in path:
        try:
            shown = shown[key]
        except (KeyError, IndexError, TypeError):
            return "the chart's own default"
    return f"got {_short(shown)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def written(path: Sequence[str]) -> str:
    """Return a path as people write it; a key with dots stands in quotes."""
    return ".".join(f'"{key}"' if "." in key else key for key in path) or "the values"


@dataclass(frozen=True)
class SchemaNode:
    """The schemas that apply to one location: none, one, or all alternatives."""

    root_schema: Mapping[str, Any]
    schemas: tuple[Mapping[str, Any], ...]

    @classmethod
    def root(cls, schema: Mapping[str, Any] | None) -> SchemaNode:
        """Return the node of the whole document; one without schemas where there is no schema."""
        return cls._of(schema or {}, [schema] if schema else [])

    @classmethod
    def _of(cls, root: Mapping[str, Any], schemas: Iterable[Any]) -> SchemaNode:
        return cls(root, tuple(one for schema in schemas for one in _alternatives(schema, root, depth=0)))

    @property
    def exists(self) -> bool:
        """Return whether a schema applies here."""
        return bool(self.schemas)

    @property
    def takes_any_key(self) -> bool:
        """Return whether a schema explicitly permits further keys; saying nothing is not enough."""
        return any(
            one.get("additionalProperties") not in (None, False) or "patternProperties" in one for one in self.schemas
        )

    def names(self) -> list[str]:
        """Return the keys that the schemas name."""
        return list(dict.fromkeys(key for one in self.schemas for key in one.get("properties") or ()))

    def property(self, key: str) -> SchemaNode:
        """Return the node below `key`."""
        below = [one["properties"][key] for one in self.schemas if key in (one.get("properties") or ())]
        return SchemaNode._of(self.root_schema, below)


def _alternatives(schema: Any, root: Mapping[str, Any], *, depth: int) -> Iterator[Mapping[str, Any]]:
    if not isinstance(schema, Mapping) or depth > 10:  # schemas may refer to themselves
        return
    yield schema
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        target: Any = root
        for key in reference[2:].split("/"):
            target = target.get(key.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
        yield from _alternatives(target, root, depth=depth + 1)
    for word in ("allOf", "anyOf", "oneOf", "then", "else"):
        found = schema.get(word)
        for one in found if isinstance(found, list) else [found]:
            yield from _alternatives(one, root, depth=depth + 1)

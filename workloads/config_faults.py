"""What is wrong with a config, in the words of its users: dotted key, what is allowed there, value found."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
TYPES = {
    "model_type": "must be a section of keys and values",
    "dict_type": "must be dotted keys and their values",
    "invalid_key": "keys must be text",
}
KINDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One key that must change before a config can be used."""

    key: str
    found: object
    allowed: str

    def __str__(self) -> str:
        return f"{self.key}: {self.allowed} (got {_short(self.found)})"


def faults_of(error: ValidationError, kind: type[BaseModel]) -> list[Fault]:
    """Return the faults that are in `error`, which was raised when a `kind` was made."""
    schemas = _schemas(kind)
    faults = []
    for one in error.errors(include_url=False):
        key = ".".join(str(part) for part in one["loc"] if part != "[key]")
        faults.append(Fault(key=key, found=one["input"], allowed=_allowed(key, one, schemas)))
    return faults


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the nearest of the names in brackets, or nothing where none is near."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _schemas(kind: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Return a map from dotted key to the JSON schema of its values."""
    whole = kind.model_json_schema(ref_template="{model}")
    schemas: dict[str, dict[str, Any]] = {}
    for name, schema in whole["properties"].items():
        section = whole["$defs"].get(schema.get("$ref"), {"properties": {}})["properties"]
        schemas |= {f"{name}.{key}": one for key, one in section.items()} or {name: schema}
    return schemas


def _allowed(key: str, error: Mapping[str, Any], schemas: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what the key allows, in words."""
    if error["loc"][-1:] == ("[key]",):
        return TYPES["invalid_key"]
    if error["type"] in TYPES:
        return TYPES[error["type"]]
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "extra_forbidden":
        return f"no such key{_hint(key, list(schemas))}"
    schema = schemas[key]
    schema = schema.get("anyOf", [schema])[0]  # the other one is null
    if "enum" in schema:
        return f"must be one of {', '.join(schema['enum'])}"
    if "pattern" in schema:
        return "must be text of letters, digits, '.', '_' and '-'"
    bounds = " and ".join(f"{words} {schema[bound]}" for bound, words in BOUNDS.items() if bound in schema)
    return f"must be {KINDS[schema['type']]} {bounds}".rstrip()


def _hint(key: str, known: Sequence[str]) -> str:
    """Return where to look: the nearest key by its whole name, else by its last part (`lr` means `optim.lr`)."""
    section, _, last = key.rpartition(".")
    if key in known:
        return f"; write it as `{section}: {{{last}: ...}}`"
    by_last_part = {name.rpartition(".")[2]: name for name in known}
    near = difflib.get_close_matches(key, known, n=1) or [
        by_last_part[part] for part in difflib.get_close_matches(last, by_last_part, n=1)
    ]
    sections = dict.fromkeys(name.partition(".")[0] for name in known)
    return f"; did you mean {near[0]}?" if near else f"; keys and sections are {', '.join(sections)}"


def _short(value: object) -> str:
    """Return the value as Python writes it; of a long one its beginning and end."""
    short = reprlib.Repr()
    short.maxstring, short.maxother, short.maxlevel = 80, 80, 3
    try:
        return short.repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return "a number of thousands of digits"

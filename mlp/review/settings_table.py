"""`mlp settings`: every setting of a stack file, read from the model, as docs/settings.md shows it."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from infra.settings.settings import PlatformSettings
from mlp.shared.checkout import REPOSITORY
from mlp.shared.documents import Marks

DOCUMENT = REPOSITORY / "docs" / "settings.md"
MARKS = Marks(what="settings", command="mlp settings --update")
_HEAD = ("setting", "allowed", "default", "what it is")
_NOT_IN_THE_FILE = "environment"
"""Field that is not in a stack file: the stack's name."""


def settings_table() -> str:
    """Return a Markdown table with a row for each setting, in the model's order."""
    rows = [_HEAD, *rows_of(PlatformSettings)]
    lines = [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows]
    return "\n".join([lines[0], "| --- | --- | --- | --- |", *lines[1:]])


def rows_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield key, allowed values, default and meaning of each field of `model` and of the models within it."""
    for name, field in model.model_fields.items():
        if name == _NOT_IN_THE_FILE:
            continue
        key, annotation = f"{prefix}{name}", field.annotation
        inner = _model_in(annotation)
        if not isinstance(annotation, type) or inner is None:
            meaning = " ".join((field.description or "").split())
            yield f"`{key}`", _allowed(annotation, field), _default(field), meaning
        if inner is not None:
            yield from rows_of(inner, f"{key}.NAME." if typing.get_origin(annotation) is dict else f"{key}.")


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for one in (annotation, *typing.get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def _allowed(annotation: Any, field: FieldInfo | None = None) -> str:
    """Return the allowed values in words; bounds come from the field's own metadata."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    bounds = {
        kind: getattr(one, kind)
        for one in (field.metadata if field else ())
        for kind in ("ge", "le")
        if hasattr(one, kind)
    }
    if origin is typing.Annotated:
        return _allowed(args[0])
    if origin is Literal:
        return ", ".join(str(one) for one in args)
    if origin in (types.UnionType, typing.Union):
        return f"{_allowed(args[0], field)}, or null"
    if origin is tuple:
        return f"list of {_plural(_allowed(args[0]))}"
    if origin is dict:
        return "mapping by name"
    if _model_in(annotation):
        return "mapping"
    word = {bool: "true, false", int: "whole number", str: "text", IPv4Network: "address range"}.get(annotation, "")
    if "le" in bounds:
        return f"{bounds['ge']} to {bounds['le']}"
    return f"{bounds['ge']} or more" if "ge" in bounds else word


def _plural(word: str) -> str:
    return {"text": "texts", "address range": "address ranges"}.get(word, word)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Mapping):
        return ", ".join(f"`{name}`" for name in value)
    if isinstance(value, tuple):
        value = [str(one) for one in value]
    return f"`{value}`" if isinstance(value, IPv4Network) else f"`{json.dumps(value)}`"

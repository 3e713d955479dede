"""Property values between Pulumi's wire format and plain Python, with secrets marked.

The wire format is a protobuf Struct in which a key marks values that JSON has no type for
(https://pulumi-developer-docs.readthedocs.io/latest/docs/architecture/types.html).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format, struct_pb2
from pulumi.runtime import rpc

from mlp.shared.errors import PlatformError

SECRET_SHOWN = "[secret]"  # noqa: S105  what is shown in place of one
_DIGITS = 12


@dataclass(frozen=True)
class Secret:
    """A value that may be used but not shown."""

    value: Any


@dataclass(frozen=True)
class ResourceReference:
    """A whole resource as a property value."""

    urn: str
    id: str


def from_wire(properties: struct_pb2.Struct) -> dict[str, Any]:
    """Return plain values; secrets are `Secret`, resources `ResourceReference`, whole numbers int."""
    return {key: _plain(value) for key, value in json_format.MessageToDict(properties).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, dict):
        return value
    match value.get(rpc._special_sig_key):
        case None:
            return {key: _plain(item) for key, item in value.items()}
        case rpc._special_secret_sig:
            return Secret(_plain(value["value"]))
        case rpc._special_resource_sig:
            return ResourceReference(value["urn"], value.get("id", ""))
        case rpc._special_asset_sig | rpc._special_archive_sig:
            return {key: _plain(item) for key, item in value.items() if key != rpc._special_sig_key}
        case signature:
            raise PlatformError(f"a property has signature {signature}, which the offline engine does not know")


def to_wire(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return the wire form of what `from_wire` returns; None values are omitted."""
    struct = struct_pb2.Struct()
    struct.update({key: _wire(value) for key, value in properties.items() if value is not None})
    return struct


def _wire(value: Any) -> Any:
    match value:
        case Secret():
            return {rpc._special_sig_key: rpc._special_secret_sig, "value": _wire(value.value)}
        case ResourceReference():
            return {rpc._special_sig_key: rpc._special_resource_sig, "urn": value.urn, "id": value.id}
        case Mapping():
            return {key: _wire(item) for key, item in value.items() if item is not None}
        case list() | tuple():
            return [_wire(item) for item in value]
        case _:
            return value


def _mapped(value: Any, secret: Callable[[Any], Any]) -> Any:
    match value:
        case Secret():
            return secret(value.value)
        case ResourceReference():
            return value.id or value.urn
        case Mapping():
            return {key: _mapped(item, secret) for key, item in value.items()}
        case list() | tuple():
            return [_mapped(item, secret) for item in value]
        case _:
            return value


def secret_digests(value: Any, path: str = "") -> dict[str, str]:
    """Return a digest of each secret in `value`, by its path: `values.logins[0].password`.

    No plan holds a secret that its repository does not: passwords are the recording cloud's, and what only Pulumi's key
    can decrypt stays encrypted.
    """
    match value:
        case Secret():
            text = json.dumps(revealed(value), sort_keys=True, default=str)
            return {path: hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}
        case Mapping():
            parts = [(_below(path, str(key)), item) for key, item in value.items()]
        case list() | tuple():
            parts = [(f"{path}[{place}]", item) for place, item in enumerate(value)]
        case _:
            return {}
    return {where: digest for inner, item in parts for where, digest in secret_digests(item, inner).items()}


def _below(path: str, key: str) -> str:
    if "." in key or "[" in key:
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def revealed(value: Any) -> Any:
    """Return the value with every secret revealed; for a cloud, never for output."""
    return _mapped(value, lambda inner: revealed(inner))


def shown(value: Any) -> Any:
    """Return the value as people and plans may see it: every secret is `[secret]`."""
    return _mapped(value, lambda _: SECRET_SHOWN)

"""A resource to create in the emulator: its inputs under AWS's names, and the clients to send them with.

Nothing here or in the rows imports boto3, which a plan does not need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlp.engine.cloud import Created, Place, Registration
from mlp.shared.errors import PlatformError


@dataclass(frozen=True)
class Nested:
    """AWS's name of an input that is an object or a list of objects, and the fields inside."""

    name: str
    fields: Mapping[str, str | Nested]


Fields = Mapping[str, str | Nested]
"""AWS's name of each input that a handler passes on unchanged."""


def pascal(*keys: str) -> dict[str, str | Nested]:
    """Return fields that AWS spells as Pulumi does, with a capital first letter."""
    return {key: key[0].upper() + key[1:] for key in keys}


def same(*keys: str) -> dict[str, str | Nested]:
    """Return fields that AWS spells as Pulumi does."""
    return {key: key for key in keys}


class Request:
    """A resource to create. A handler accounts for each input; one that is left over is refused.

    A handler takes what it treats itself, passes on the rest by `arguments`, and only then calls AWS. `clients` makes
    the boto3 client of a service in a region.
    """

    def __init__(
        self,
        wanted: Registration,
        inputs: Mapping[str, Any],
        place: Place,
        clients: Callable[[str, str], Any],
        default_tags: Mapping[str, str],
    ) -> None:
        self.wanted = wanted
        self.place = place
        self._left = {key: value for key, value in inputs.items() if value is not None}
        self._clients = clients
        self._default_tags = default_tags

    def client(self, service: str) -> Any:
        """Return the boto3 client of `service` in the resource's region."""
        return self._clients(service, self.place.region)

    def take(self, key: str, default: Any = None) -> Any:
        """Take the input `key`, or return `default` without it."""
        return self._left.pop(key, default)

    def not_held_by_aws(self, *keys: str) -> None:
        """Take inputs that only configure Pulumi's provider for deletion; no AWS service stores them."""
        for key in keys:
            self._left.pop(key, None)

    def tags(self) -> dict[str, str]:
        """Return the resource's tags, merged over the provider's default tags."""
        return {**self._default_tags, **self.take("tags", {})}

    def tag_list(self) -> list[dict[str, str]]:
        """Return the merged tags in the form that most services take."""
        return [{"Key": key, "Value": value} for key, value in self.tags().items()]

    def tag_specifications(self, kind: str) -> list[dict[str, Any]]:
        """Return the merged tags in the form that EC2 takes for a resource of `kind`."""
        tags = self.tag_list()
        return [{"ResourceType": kind, "Tags": tags}] if tags else []

    def arguments(self, fields: Fields) -> dict[str, Any]:
        """Return all inputs not yet taken, under AWS's names. Raise PlatformError for one that `fields` lacks."""
        left, self._left = self._left, {}
        arguments: dict[str, Any] = self._translated(left, fields, path="")
        return arguments

    def _translated(self, value: Any, fields: Fields, path: str) -> Any:
        if isinstance(value, list):
            return [self._translated(item, fields, path) for item in value]
        translated = {}
        for key, item in value.items():
            field = fields.get(key)
            match field:
                case _ if item is None:
                    continue
                case str():
                    translated[field] = item
                case Nested():
                    translated[field.name] = self._translated(item, field.fields, f"{path}{key}.")
                case None:
                    raise PlatformError(
                        f"{self.wanted.type} {self.wanted.name}: input {path}{key} is not known to the emulated cloud; "
                        "add it to the type's handler in mlp/engine/types/"
                    )
        return translated


Handler = Callable[[Request], Created]

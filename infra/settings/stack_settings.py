"""Base of a stack's settings: one structured value, validated offline, every fault at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import pulumi
from pydantic import BaseModel, Field, ValidationError

from infra.naming import ENVIRONMENT_PATTERN


class SettingsModel(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Base of all settings: they do not change after loading, and a misspelt key is a fault."""


class StackSettings(SettingsModel):
    """Settings of one Pulumi project, which its stack files hold under `settings`."""

    environment: str = Field(pattern=ENVIRONMENT_PATTERN)
    """Name of the stack."""

    @classmethod
    def load(cls) -> Self:
        """Return the settings of the stack that is being run.

        Raises pulumi.RunError that lists every fault with its key and the value found.
        """
        config = pulumi.Config()
        settings = cls.parse(pulumi.get_stack(), config.get_object("settings"), key=config.full_key("settings"))
        for warning in settings.warnings():
            pulumi.log.warn(warning)
        return settings

    def warnings(self) -> tuple[str, ...]:
        """Return warnings of what is allowed and probably not meant; `load` prints them."""
        return ()

    @classmethod
    def parse(cls, stack: str, values: object, *, key: str) -> Self:
        """Return the settings of `stack` from the values found under the configuration `key`; raise as `load` does."""
        if not isinstance(values, Mapping):
            found = "is missing" if values is None else f"must be a mapping (got {values!r})"
            raise pulumi.RunError(f"Stack {stack} cannot be deployed: {key} {found}; Pulumi.dev.yaml is an example")
        try:
            return cls.model_validate({**values, "environment": stack})
        except ValidationError as error:
            errors = [dict(one) for one in error.errors(include_url=False)]
            faults = [_fault(key, one) for one in errors if not _echoes(one, errors)]
            count = "1 setting is" if len(faults) == 1 else f"{len(faults)} settings are"
            lines = [f"Stack {stack} cannot be deployed until {count} corrected:", *faults]
            raise pulumi.RunError("\n  ".join(lines)) from None


def _fault(key: str, error: dict[str, Any]) -> str:
    path = ".".join([key, *(str(part) for part in error["loc"])])
    message = error["msg"].removeprefix("Value error, ")
    # What is missing has no value; a fault between fields names their values itself.
    has_value = error["type"] != "missing" and not isinstance(error["input"], Mapping)
    return f"{path}: {message} (got {error['input']!r})" if has_value else f"{path}: {message}"


def _echoes(error: dict[str, Any], errors: Sequence[dict[str, Any]]) -> bool:
    """Return whether a list is called too short only because items of it have faults of their own."""
    depth = len(error["loc"])
    deeper = (one["loc"] for one in errors if len(one["loc"]) > depth)
    return error["type"] == "too_short" and any(loc[:depth] == error["loc"] for loc in deeper)

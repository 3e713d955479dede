"""The stack programs of this repository and their configuration, read as Pulumi reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from mlp.engine.cloud import hex_digits
from mlp.shared.checkout import REPOSITORY
from mlp.shared.errors import PlatformError

ENCRYPTED = "[encrypted {}]"
"""Placeholder of a value that only Pulumi's key can decrypt, with a hash of its ciphertext; it is marked secret."""


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """The configuration of one stack as the runtime takes it: full keys, values as text."""

    values: dict[str, str]
    secret_keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Program:
    """One Pulumi project: the folder of its Pulumi.yaml and stack files, and the file that Pulumi runs."""

    label: str
    folder: Path

    @property
    def project(self) -> str:
        """Return the project's name."""
        return str(self._description()["name"])

    @property
    def entry(self) -> Path:
        """Return the program's entry file."""
        return (self.folder / str(self._description().get("main", ".")) / "__main__.py").resolve()

    def stacks(self) -> list[str]:
        """Return the names of the stacks that have a file."""
        return sorted(path.name.split(".")[1] for path in self.folder.glob("Pulumi.*.yaml"))

    def config(self, stack: str) -> StackConfig:
        """Return the configuration of `stack`. Raise PlatformError for an unknown stack or an unreadable file."""
        path = self.folder / f"Pulumi.{stack}.yaml"
        if stack not in self.stacks():
            raise PlatformError(
                f"stack {stack!r} of {self.label} has no file {path.name}; the stacks are {', '.join(self.stacks())}"
            )
        entries = _read_yaml(path).get("config") or {}
        if not isinstance(entries, dict):
            raise PlatformError(f"{path.name}: `config` must be a mapping (got {entries!r})")
        values: dict[str, str] = {}
        secret_keys: list[str] = []
        for key, value in entries.items():
            full_key = key if ":" in key else f"{self.project}:{key}"
            if isinstance(value, dict) and set(value) == {"secure"}:
                values[full_key] = ENCRYPTED.format(hex_digits(str(value["secure"]), 12))
                secret_keys.append(full_key)
            else:
                values[full_key] = _as_text(value)
        return StackConfig(values=values, secret_keys=tuple(secret_keys))

    def _description(self) -> dict[str, Any]:
        return _read_yaml(self.folder / "Pulumi.yaml")


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value)


@cache
def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  both are safe
    except (OSError, UnicodeDecodeError) as error:
        raise PlatformError(f"{path.name} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise PlatformError(f"{path.name} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise PlatformError(f"{path.name} must hold a mapping (got {content!r})")
    return content


PLATFORM = Program(label="platform", folder=REPOSITORY)
WORKLOADS = Program(label="workloads", folder=REPOSITORY / "stacks" / "workloads")

"""The promotion rules of a yaml file: what a version must show before it gets an alias."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from workloads.errors import RegistryError

DEFAULT = Path(__file__).resolve().parent / "gates" / "default.yaml"
Lineage = Literal["data_version", "code_version", "committed_code", "image_digest"]
Share = Annotated[float, Field(ge=0, le=1)]
Loss = Annotated[float, Field(ge=0, lt=1)]
Names = Annotated[list[str], Field(min_length=1)]


class Rules(BaseModel, frozen=True, extra="forbid", strict=True):
    """The rules of one alias. A rule that is None or empty is not applied."""

    minimum_accuracy: Share | None = None
    """Least test accuracy, 0 to 1."""
    margin: Loss | None = None
    """Most that the accuracy may be below that of the version in production, 0 to 1."""
    slice_margin: Loss | None = None
    """Most that the accuracy in one class or slice may be below that of the version in production, 0 to 1."""
    slices: dict[str, Names] = {}
    """Names of classes by the name of their slice."""
    maximum_calibration_error: Share | None = None
    """Largest expected calibration error, 0 to 1."""
    maximum_latency_ms: Annotated[float, Field(gt=0)] | None = None
    """Largest median latency of one image on the machine that evaluates, in milliseconds."""
    maximum_size_mib: Annotated[float, Field(gt=0)] | None = None
    """Largest size of parameters and buffers, in MiB."""
    lineage: list[Lineage] = []
    """What must be recorded of the version's run; `committed_code` requires that its code version is a clean commit."""

    @model_validator(mode="after")
    def _slices_have_a_margin(self) -> Self:
        if self.slices and self.slice_margin is None:
            raise ValueError("slices need slice_margin, the accuracy that each may lose")
        return self


class _File(BaseModel, frozen=True, extra="forbid"):
    production: Rules | None = None
    staging: Rules | None = None


def read_rules(path: Path, alias: str) -> Rules:
    """Read the rules of an alias; raise RegistryError with every error of the file."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RegistryError(f"No file {path}; name one with rules, such as {DEFAULT}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first_line = " ".join(str(error).split())
        raise RegistryError(f"{path}: not yaml: {first_line}") from error
    try:
        file = _File.model_validate(data if data is not None else {})
    except ValidationError as error:
        faults = [_error_line(fault["loc"], fault["msg"], fault["input"]) for fault in error.errors()]
        count = "1 rule is" if len(faults) == 1 else f"{len(faults)} rules are"
        raise RegistryError("\n  ".join([f"{path} cannot be used until {count} corrected:", *faults])) from None
    rules: Rules | None = getattr(file, alias)
    if rules is None:
        raise RegistryError(f"{path} has no rules for {alias}; give it a section `{alias}:`, as {DEFAULT} has")
    return rules


def _error_line(place: tuple[int | str, ...], message: str, found: object) -> str:
    key = ".".join(map(str, place)) or "file"
    shown = f" (got {found!r})" if not isinstance(found, dict) else ""
    return f"{key}: {message.removeprefix('Value error, ')}{shown}"

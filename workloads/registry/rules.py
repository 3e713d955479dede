"""What a version must show before it gets an alias, as a yaml file says it."""

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
    """Of one alias. What is None or empty is not asked."""

    minimum_accuracy: Share | None = None
    margin: Loss | None = None
    """By how much the accuracy may be below that of the version in production."""
    slice_margin: Loss | None = None
    """The same of one class or slice."""
    slices: dict[str, Names] = {}
    """Classes by the name of a group."""
    maximum_calibration_error: Share | None = None
    maximum_latency_ms: Annotated[float, Field(gt=0)] | None = None
    """Median for one image on the machine that asks."""
    maximum_size_mib: Annotated[float, Field(gt=0)] | None = None
    lineage: list[Lineage] = []
    """What must be known of the version's run; `committed_code`: its code version is a commit and nothing else."""

    @model_validator(mode="after")
    def _slices_have_a_margin(self) -> Self:
        if self.slices and self.slice_margin is None:
            raise ValueError("slices need slice_margin, the accuracy that each may lose")
        return self


class _File(BaseModel, frozen=True, extra="forbid"):
    production: Rules | None = None
    staging: Rules | None = None


def read_rules(path: Path, alias: str) -> Rules:
    """Those of an alias; raises RegistryError with every fault of the file."""
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
        faults = [_told(fault["loc"], fault["msg"], fault["input"]) for fault in error.errors()]
        count = "1 rule is" if len(faults) == 1 else f"{len(faults)} rules are"
        raise RegistryError("\n  ".join([f"{path} cannot be used until {count} corrected:", *faults])) from None
    rules: Rules | None = getattr(file, alias)
    if rules is None:
        raise RegistryError(f"{path} has no rules for {alias}; give it a section `{alias}:`, as {DEFAULT} has")
    return rules


def _told(place: tuple[int | str, ...], message: str, found: object) -> str:
    key = ".".join(map(str, place)) or "file"
    shown = f" (got {found!r})" if not isinstance(found, dict) else ""
    return f"{key}: {message.removeprefix('Value error, ')}{shown}"

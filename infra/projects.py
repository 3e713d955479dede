"""The two Pulumi projects of this repository, by the names that their Pulumi.yaml give them."""

from __future__ import annotations

from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]


def platform_project() -> str:
    """Return the name of the platform's project."""
    return _name(REPOSITORY)


def workloads_project() -> str:
    """Return the name of the workloads' project."""
    return _name(REPOSITORY / "stacks" / "workloads")


def _name(folder: Path) -> str:
    return str(yaml.safe_load((folder / "Pulumi.yaml").read_text())["name"])

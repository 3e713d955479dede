"""Settings of a server that runs in the cluster and on a laptop, with a reason wherever the two differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Place = Literal["cluster", "laptop"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A setting that must differ between the places: its value in each, None where it is not set there, and why."""

    cluster: str | None
    laptop: str | None
    reason: str


Settings = Mapping[str, str | Difference]


def settings_in(place: Place, settings: Settings) -> dict[str, str]:
    """Return the settings that are set in `place`, with their values there."""
    found = {name: getattr(one, place) if isinstance(one, Difference) else one for name, one in settings.items()}
    return {name: value for name, value in found.items() if value is not None}


def sized(cpu: str, memory: str, limit: str) -> dict[str, Any]:
    """Return the resources of a container in the form of Kubernetes.

    They are requests, and a limit on memory alone: idle processor time is free to use.
    """
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": limit}}

"""A Helm release as far as its pods depend on it: values, and as much of a manifest as counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Manifest = dict[str, Any]
Resources = Mapping[str, Any]
_PLACEMENT = ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints")


class Values:
    """A release's values over its chart's defaults."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def at(self, path: str, otherwise: Any = None) -> Any:
        """The value at a dotted path."""
        value: Any = self.values
        for key in path.split(".") if path else ():
            value = value.get(key) if isinstance(value, Mapping) else None
        return otherwise if value is None else value

    def resources(self, path: str) -> Resources:
        """The requests and limits there."""
        found: Resources = self.at(f"{path}.resources" if path else "resources", {})
        return found

    def placement(self, path: str = "") -> dict[str, Any]:
        """What the part at `path` says of the nodes for its pods; `path` empty is the chart's top."""
        part = self.at(path, {})
        return {key: part[key] for key in _PLACEMENT if part.get(key)}


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release of a plan, with its values over the chart's defaults."""

    name: str
    namespace: str
    values: Values

    def pods(
        self,
        kind: str,
        suffix: str,
        containers: Mapping[str, Resources],
        *,
        init: Mapping[str, Resources] | None = None,
        replicas: int = 1,
        namespace: str = "",
        labels: Mapping[str, str] | None = None,
        **placement: Any,
    ) -> Manifest:
        """As much of a manifest as its pods depend on."""
        containers_of = {
            part: [{"name": name, "resources": one} for name, one in (given or {}).items()]
            for part, given in (("containers", containers), ("initContainers", init))
        }
        template = {"metadata": {"labels": dict(labels or {})}, "spec": {**containers_of, **placement}}
        job = {"template": template}
        return {
            "kind": kind,
            "metadata": {"name": f"{self.name}{suffix}", "namespace": namespace or self.namespace},
            "spec": {"jobTemplate": {"spec": job}} if kind == "CronJob" else {**job, "replicas": replicas},
        }


@dataclass(frozen=True, kw_only=True)
class ChartPods:
    """What is known of one chart."""

    pods: Callable[[Release], Iterator[Manifest]]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """The chart's own values where they count and are not empty."""
    uncounted: tuple[str, ...] = ()
    """Switches of parts whose pods are not counted here; they must be off."""

"""A Helm release as far as its pods depend on it: values, and the relevant part of a manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Manifest = dict[str, Any]
Resources = Mapping[str, Any]
_PLACEMENT = ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints")


class Values:
    """The values of a release, merged over its chart's defaults."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def at(self, path: str, otherwise: Any = None) -> Any:
        """Return the value at a dotted path, `otherwise` where there is none."""
        value: Any = self.values
        for key in path.split(".") if path else ():
            value = value.get(key) if isinstance(value, Mapping) else None
        return otherwise if value is None else value

    def resources(self, path: str) -> Resources:
        """Return the requests and limits at a dotted path."""
        found: Resources = self.at(f"{path}.resources" if path else "resources", {})
        return found

    def placement(self, path: str = "") -> dict[str, Any]:
        """Return the node selector, affinity and tolerations at `path`, a dotted path; empty is the chart's root."""
        part = self.at(path, {})
        return {key: part[key] for key in _PLACEMENT if part.get(key)}


@dataclass(frozen=True, kw_only=True)
class Release:
    """A Helm release of a plan, with its values over the chart's defaults."""

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
        """Return the part of a manifest that its pods depend on."""
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
    """The pods of one chart."""

    pods: Callable[[Release], Iterator[Manifest]]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Default values of the chart that are relevant and not empty."""
    uncounted: tuple[str, ...] = ()
    """Switches of components whose pods are not counted here; they must be off."""

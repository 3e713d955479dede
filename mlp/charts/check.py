"""Checks of a plan's releases and custom resources against the charts' own data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.facts.charts import Chart
from mlp.charts.custom_resources import CustomResources, is_custom
from mlp.charts.store import HOW_TO_GET, ChartData, ChartStore
from mlp.charts.values import findings
from mlp.engine.deployment import Deployment
from mlp.engine.values import SECRET_SHOWN, ResourceReference, Secret, revealed
from mlp.shared.errors import PlatformError

RELEASE = "kubernetes:helm.sh/v3:Release"


@dataclass(frozen=True, kw_only=True)
class Release:
    """A Helm release of a plan; `shown` are its values without secrets."""

    name: str
    namespace: str
    chart: str
    version: str
    repository: str
    values: Mapping[str, Any]
    shown: Mapping[str, Any]
    has_files: bool
    """Whether the release takes values from files too."""


@dataclass(frozen=True, kw_only=True)
class CustomResource:
    """An object of a plan that a definition must make known; `origin` says where in the plan."""

    origin: str
    thing: Mapping[str, Any]
    shown: Any


@dataclass(kw_only=True)
class Report:
    """Result of a check: what was checked, what is wrong, and what the chart data do not cover; one line each."""

    releases: int
    custom_resources: int
    faults: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def add(self, line: str, *, checked: bool = True) -> None:
        """Add a fault, or what could not be checked."""
        (self.faults if checked else self.unchecked).append(line)


def releases_of(deployments: Iterable[Deployment]) -> list[Release]:
    """Return every Helm release that the programs install."""
    return [_release(one.wanted.inputs) for deployment in deployments for one in deployment.of_type(RELEASE)]


def _release(inputs: Mapping[str, Any]) -> Release:
    opened = revealed(inputs)
    return Release(
        name=str(opened.get("name")),
        namespace=str(opened.get("namespace") or "default"),
        chart=str(opened.get("chart")),
        version=str(opened.get("version")),
        repository=str((opened.get("repositoryOpts") or {}).get("repo") or ""),
        values=opened.get("values") or {},
        shown=redacted(inputs.get("values") or {}),
        has_files=bool(opened.get("valueYamlFiles")),
    )


def custom_resources_of(deployments: Iterable[Deployment]) -> list[CustomResource]:
    """Return every custom resource that the programs create, and every one among their outputs."""
    return [found for deployment in deployments for found in (*_registered(deployment), *_in_outputs(deployment))]


def _registered(deployment: Deployment) -> Iterator[CustomResource]:
    for one in deployment.resources.values():
        wanted = one.wanted
        if wanted.custom and wanted.type.startswith("kubernetes:") and wanted.type != RELEASE:
            thing = revealed(wanted.inputs)
            if is_custom(str(thing.get("apiVersion", ""))):
                origin = f"{thing.get('kind')} {wanted.name}"
                yield CustomResource(origin=origin, thing=thing, shown=redacted(wanted.inputs))


def _in_outputs(deployment: Deployment) -> Iterator[CustomResource]:
    for name, output in deployment.outputs.items():
        for thing, without_secrets in _objects(revealed(output), redacted(output)):
            yield CustomResource(origin=f"output {name}: {thing['kind']}", thing=thing, shown=without_secrets)


def _objects(value: Any, without_secrets: Any) -> Iterator[tuple[Mapping[str, Any], Any]]:
    match value:
        case {"apiVersion": str(version), "kind": str()} if is_custom(version):
            yield value, without_secrets
        case dict():
            for key, item in value.items():
                yield from _objects(item, without_secrets[key])
        case list():
            for item, other in zip(value, without_secrets, strict=True):
                yield from _objects(item, other)


def redacted(value: Any, *, secret: bool = False) -> Any:
    """Return the value in its own form, every text within a secret replaced; a template can be rendered from it."""
    match value:
        case Secret():
            return redacted(value.value, secret=True)
        case ResourceReference():
            return value.id or value.urn
        case Mapping():
            return {key: redacted(item, secret=secret) for key, item in value.items()}
        case list() | tuple():
            return [redacted(item, secret=secret) for item in value]
        case str() if secret:
            return SECRET_SHOWN
        case _:
            return value


def check(deployments: Sequence[Deployment], store: ChartStore, pinned: Iterable[Chart]) -> Report:
    """Check every release and every custom resource. Raise PlatformError where there are no chart data at all."""
    if not store.names():
        raise PlatformError(f"there is no chart data in {store.folder}; {HOW_TO_GET}")
    releases, resources = releases_of(deployments), custom_resources_of(deployments)
    report = Report(releases=len(releases), custom_resources=len(resources))
    pins = {one.name: one for one in pinned}
    for release in releases:
        _check_release(release, store, pins, report)
    known = CustomResources(store.definitions())
    for resource in resources:
        for finding in known.findings(resource.thing, shown=resource.shown):
            report.add(f"{resource.origin}: {finding.message}", checked=finding.checked)
    return report


def _check_release(release: Release, store: ChartStore, pins: Mapping[str, Chart], report: Report) -> None:
    pin = pins.get(release.chart)
    label = f"release {release.name}"
    if pin is None:
        report.add(f"{label}: chart {release.chart} is not pinned in infra/facts/charts.py")
        return
    if (release.version, release.repository) != (pin.version, pin.repository):
        report.add(
            f"{label}: chart {release.chart} {release.version} of {release.repository or 'no repository'} is not the "
            f"one pinned in infra/facts/charts.py, {pin.version} of {pin.repository}"
        )
        return
    if release.has_files:
        report.add(f"{label}: it takes values from files, which are not looked at; give them as `values`")
    data = store.chart(release.chart)
    if data is None:
        if release.values:
            report.add(f"{label}: no data of chart {pin.name}; `mlp charts pull {pin.name}` gets them", checked=False)
        return
    _check_values(release, data, pin, report)


def _check_values(release: Release, data: ChartData, pin: Chart, report: Report) -> None:
    label = f"release {release.name}"
    if data.version != pin.version:
        report.add(
            f"{label}: the data are of {pin.name} {data.version}, and {pin.version} is pinned; "
            f"`mlp charts pull {pin.name}` gets that"
        )
        return
    found = findings(release.values, data, shown=release.shown)
    for finding in found:
        if finding.checked:
            report.add(f"{label}: {finding}")
    for (part, message), count in Counter((one.path[0], one.message) for one in found if not one.checked).items():
        report.add(f"{label}: {part} ({count} {'value' if count == 1 else 'values'}): {message}", checked=False)

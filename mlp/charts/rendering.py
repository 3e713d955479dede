"""Releases rendered offline from the charts' archives, and validated as Kubernetes would."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml

from infra.facts.kubernetes_versions import ADDON_VERSIONS
from mlp.charts import yaml_text
from mlp.charts.check import Release, releases_of
from mlp.charts.custom_resources import CustomResources, is_custom
from mlp.charts.schema_faults import written
from mlp.charts.store import ChartStore
from mlp.engine.deployment import Deployment
from mlp.shared.errors import PlatformError

_SEPARATOR = re.compile(r"(?:^|\s*\n)---\s*")
_SOURCE = re.compile(r"\A# Source: .*\n")
_SAYS_SOMETHING = re.compile(r"^\s*[^\s#]", re.MULTILINE)

SDK = "helm_python"
VALIDATOR = "kubernetes_validate"
HOW_TO_INSTALL = "pip install 'ml-platform[charts]'"
TIMEOUT_S = 120


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Properties of the cluster that templates may query."""

    kubernetes_version: str
    api_versions: tuple[str, ...] = ()
    """API versions beyond Kubernetes' own."""


@dataclass(frozen=True)
class Manifest:
    """One object as YAML, and the template that made it."""

    path: str
    text: str


class Renderer(Protocol):
    """Function that renders a chart's archive."""

    def __call__(self, archive: Path, release: Release, cluster: Cluster) -> list[Manifest]:
        """Return the manifests, by their templates' paths; secrets are redacted. Raise PlatformError."""


@dataclass(kw_only=True)
class Rendered:
    """A release's manifests as text, what Kubernetes would refuse of them, and what could not be checked."""

    text: str
    faults: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)


def render_release(
    name: str, deployments: Sequence[Deployment], store: ChartStore, renderer: Renderer | None = None
) -> Rendered:
    """Render the release `name` of a plan and validate every manifest.

    Secret values are `[secret]` in it. Raises PlatformError for a release that the plan has not, a chart without an
    archive, a chart that does not render, and where there is nothing to render with.
    """
    release = _release(name, releases_of(deployments))
    archive = store.archive(release.chart, release.version)
    if archive is None:
        raise PlatformError(
            f"there is no archive of {release.chart} {release.version} in {store.folder}; "
            f"`mlp charts pull {release.chart}` gets it"
        )
    known = CustomResources(store.definitions())
    version = kubernetes_version(deployments)
    cluster = Cluster(kubernetes_version=version, api_versions=tuple(known.api_versions()))
    manifests = (renderer or find_renderer())(archive, release, cluster)
    rendered = Rendered(text="".join(f"---\n# Source: {one.path}\n{one.text}" for one in manifests))
    validate(manifests, known, version, rendered)
    return rendered


def _release(name: str, releases: Sequence[Release]) -> Release:
    for one in releases:
        if one.name == name:
            return one
    names = ", ".join(sorted(one.name for one in releases)) or "none"
    raise PlatformError(f"the plan has no release {name!r}; its releases are: {names}")


def kubernetes_version(deployments: Iterable[Deployment]) -> str:
    """Return the version of the plan's cluster, such as 1.34; the newest of the platform where it has none."""
    for deployment in deployments:
        for one in deployment.of_type("aws:eks/cluster:Cluster"):
            if version := one.wanted.inputs.get("version"):
                return str(version)
    return max(ADDON_VERSIONS)


def find_renderer() -> Renderer:
    """Return a renderer by Helm's library for Python if installed, else by the `helm` command; raise PlatformError."""
    if importlib.util.find_spec(SDK):
        return render_by_sdk
    if found := shutil.which("helm"):
        return render_by_command(found)
    raise PlatformError(f"there is nothing to render with; {HOW_TO_INSTALL} installs Helm's library, or install `helm`")


def render_by_sdk(archive: Path, release: Release, cluster: Cluster) -> list[Manifest]:
    """Render in this process."""
    helm = importlib.import_module(SDK)  # large and optional
    native = importlib.import_module(f"{SDK}._native")
    options = {
        "name": release.name,
        "namespace": release.namespace,
        "kube_version": f"v{cluster.kubernetes_version}.0",
        "api_versions": list(cluster.api_versions),
    }
    try:
        with helm.Chart.load(archive) as chart:
            # `Chart.render` has no argument for the cluster's versions, which the library itself takes; without them
            # a chart leaves out its ServiceMonitors.
            text = native.call_string("helm_render", chart._raw(), json.dumps(release.shown), json.dumps(options))
    except helm.HelmError as error:
        raise _does_not_render(release, str(error)) from None
    return _manifests(json.loads(text))


def render_by_command(program: str) -> Renderer:
    """Return a renderer that runs `program`, the `helm` command."""

    def render(archive: Path, release: Release, cluster: Cluster) -> list[Manifest]:
        with tempfile.TemporaryDirectory() as folder:
            values = Path(folder) / "values.json"
            values.write_text(json.dumps(release.shown), encoding="utf-8")
            output = Path(folder) / "manifests"
            arguments = [program, "template", release.name, str(archive), "--namespace", release.namespace]
            arguments += ["--values", str(values), "--kube-version", cluster.kubernetes_version]
            arguments += ["--output-dir", str(output)]
            for one in cluster.api_versions:
                arguments += ["--api-versions", one]
            try:
                subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=TIMEOUT_S)
            except subprocess.CalledProcessError as error:
                raise _does_not_render(release, error.stderr.strip()) from None
            except subprocess.TimeoutExpired:
                raise _does_not_render(release, f"helm took longer than {TIMEOUT_S} s") from None
            files = sorted(path for path in output.rglob("*") if path.is_file())
            return _manifests({str(path.relative_to(output)): path.read_text(encoding="utf-8") for path in files})

    return render


def _does_not_render(release: Release, reason: str) -> PlatformError:
    return PlatformError(
        f"{release.chart} {release.version} does not render with the values of {release.name}: {reason}"
    )


def _manifests(rendered: Mapping[str, str]) -> list[Manifest]:
    return [
        Manifest(path, text)
        for path, whole in sorted(rendered.items())
        if not path.endswith("NOTES.txt")
        for text in split(whole)
    ]


def split(text: str) -> list[str]:
    """Return what Helm sends to the cluster one by one, without documents of comments only.

    Helm splits before it reads YAML, and takes `---apiVersion: v1`, which templates easily make, for a separator too.
    """
    found = (_SOURCE.sub("", one) for one in _SEPARATOR.split(text))
    return [f"{one.strip()}\n" for one in found if _SAYS_SOMETHING.search(one)]


def validate(manifests: Iterable[Manifest], known: CustomResources, version: str, rendered: Rendered) -> None:
    """Validate every manifest: custom resources by their definitions, the rest by Kubernetes' own schemas."""
    built_in = _find_validator()
    if built_in is None:
        rendered.unchecked.append(
            f"Kubernetes' own objects, since kubernetes-validate is not installed; {HOW_TO_INSTALL}"
        )
    for manifest in manifests:
        try:
            found = yaml_text.documents(manifest.text)
        except yaml.YAMLError as error:
            rendered.faults.append(f"{manifest.path}: it is not YAML: {' '.join(str(error).split())}")
            continue
        for thing in _one_by_one(found):
            _validate_one(manifest.path, thing, known, built_in, version, rendered)


def _one_by_one(found: Iterable[Any]) -> Iterator[Any]:
    for thing in found:
        if isinstance(thing, Mapping) and thing.get("kind") == "List":
            yield from thing.get("items") or ()
        else:
            yield thing


_BuiltIn = Callable[[Mapping[str, Any], str], tuple[str | None, str | None]]


def _validate_one(
    path: str, thing: Any, known: CustomResources, built_in: _BuiltIn | None, version: str, rendered: Rendered
) -> None:
    if not isinstance(thing, Mapping) or "apiVersion" not in thing or "kind" not in thing:
        rendered.faults.append(f"{path}: it has no apiVersion and kind")
        return
    label = f"{path}: {thing['kind']} {(thing.get('metadata') or {}).get('name')}"
    if is_custom(str(thing["apiVersion"])):
        for finding in known.findings(thing):
            (rendered.faults if finding.checked else rendered.unchecked).append(f"{label}: {finding.message}")
    elif built_in is not None:
        fault, unknown = built_in(thing, version)
        rendered.faults += [f"{label}: {fault}"] if fault else []
        rendered.unchecked += [f"{label}: {unknown}"] if unknown else []


def _find_validator() -> _BuiltIn | None:
    if not importlib.util.find_spec(VALIDATOR):
        return None
    library = importlib.import_module(VALIDATOR)  # optional

    def validate_built_in(thing: Mapping[str, Any], version: str) -> tuple[str | None, str | None]:
        try:
            library.validate(dict(thing), version, strict=True)
        except library.ValidationError as error:
            return f"{written([str(key) for key in error.absolute_path])}: {error.message}", None
        except library.SchemaNotFoundError as error:
            return None, str(error.message)
        return None, None

    return validate_built_in

"""What tests of charts share: a tiny chart, its archive, a repository on this machine, a plan that installs it."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import yaml

from infra.facts.charts import Chart
from infra.helm import release
from mlp.charts.pull import put
from mlp.charts.store import ChartStore, archive_name
from mlp.engine.deployment import Deployment
from tests.builders import deploy

TINY = Chart(name="tiny", version="1.2.3", repository="https://charts.example.com")

WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"kind": "Widget", "plural": "widgets"},
        "scope": "Namespaced",
        "versions": [
            {"name": "v1beta1", "served": False, "storage": False, "schema": {"openAPIV3Schema": {"type": "object"}}},
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "required": ["spec"],
                        "properties": {
                            "apiVersion": {"type": "string"},
                            "kind": {"type": "string"},
                            "metadata": {"type": "object"},
                            "spec": {
                                "type": "object",
                                "required": ["size"],
                                "properties": {
                                    "size": {"type": "integer", "minimum": 1},
                                    "colour": {"type": "string", "enum": ["red", "blue"]},
                                    "note": {"type": "string", "nullable": True},
                                    "mode": {"type": "string", "pattern": "^(?i)(on|off)?$"},
                                    "port": {
                                        "anyOf": [{"type": "integer"}, {"type": "string"}],
                                        "x-kubernetes-int-or-string": True,
                                    },
                                    "anything": {
                                        "type": "object",
                                        "x-kubernetes-preserve-unknown-fields": True,
                                    },
                                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                                    "parts": {
                                        "type": "array",
                                        "items": {
                                            "type": "object",
                                            "properties": {"name": {"type": "string"}, "from": {"type": "string"}},
                                            "anyOf": [{"required": ["name"]}, {"required": ["from"]}],
                                        },
                                    },
                                },
                            },
                        },
                    }
                },
            },
        ],
    },
}
"""A definition with what definitions are made of."""

VALUES = """
replicas: 1
enabled: false
image: {repository: example.com/tiny, tag: ""}
podAnnotations: {}
resources: {}
settings: {}
extra: null
nested: {inner: {retention: 1d}}
"""

CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-settings
  namespace: {{ .Release.Namespace }}
data:
  replicas: {{ .Values.replicas | quote }}
  password: {{ .Values.settings.password | default "none" | quote }}
  kubernetes: {{ .Capabilities.KubeVersion.Version | quote }}
"""
WIDGET = """
{{- if .Capabilities.APIVersions.Has "example.com/v1/Widget" }}
apiVersion: example.com/v1
kind: Widget
metadata:
  name: {{ .Release.Name }}
spec:
  size: {{ .Values.replicas }}
{{- end }}
"""


def chart_files(chart: Chart = TINY, **more: str) -> dict[str, str]:
    """The files of a chart, by path; `more` are further ones, `__` standing for a slash and `_yaml` for the ending."""
    files = {
        "Chart.yaml": yaml.safe_dump({"apiVersion": "v2", "name": chart.name, "version": chart.version}),
        "values.yaml": VALUES,
        "crds/widgets.yaml": yaml.safe_dump(WIDGETS),
        "templates/settings.yaml": CONFIG_MAP,
        "templates/widget.yaml": WIDGET,
        "templates/NOTES.txt": "Thank you.",
    }
    return {**files, **{key.replace("__", "/").replace("_yaml", ".yaml"): text for key, text in more.items()}}


def packed(files: Mapping[str, str], name: str = TINY.name) -> bytes:
    """A chart's archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return gzip.compress(buffer.getvalue(), mtime=0)


def stored(folder: Path, chart: Chart = TINY, files: Mapping[str, str] | None = None) -> ChartStore:
    """A store that holds the chart's data and its archive."""
    files = files or chart_files(chart)
    data = {path: text.encode() for path, text in files.items() if not path.startswith("templates/")}
    put(folder, chart.name, {**data, archive_name(chart.name, chart.version): packed(files, chart.name)})
    return ChartStore(folder)


def sha256(content: bytes) -> str:
    """As indexes write it."""
    return hashlib.sha256(content).hexdigest()


def index(*archives: tuple[Chart, bytes], **changed: Any) -> bytes:
    """The index of a repository that holds `archives` beside it; `changed` replaces fields of all entries."""
    entries: dict[str, list[dict[str, Any]]] = {}
    for chart, archive in archives:
        entry = {
            "name": chart.name,
            "version": chart.version,
            "digest": sha256(archive),
            "urls": [f"archives/{archive_name(chart.name, chart.version)}"],
        }
        entries.setdefault(chart.name, []).append({**entry, **changed})
    return yaml.safe_dump({"apiVersion": "v1", "entries": entries}).encode()


class Server:
    """What a test serves: by path, a body, or a function of the request that answers status, headers and body."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.files: dict[str, Any] = {}
        self.asked: list[str] = []

    def hold(self, *archives: tuple[Chart, bytes]) -> None:
        """Be a chart repository with these archives."""
        self.files["/index.yaml"] = index(*archives)
        for chart, archive in archives:
            self.files[f"/archives/{archive_name(chart.name, chart.version)}"] = archive


@contextmanager
def serving() -> Iterator[Server]:
    """An HTTP server on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            found = served.files.get(self.path.partition("?")[0])
            if callable(found):
                status, headers, body = found(self)
            else:
                status, headers, body = (404, {}, b"") if found is None else (200, {}, found)
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  http.server's own name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Server(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


class Told:
    """Progress that keeps what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        """Keep it."""
        self.lines.append(line)

    def begin(self, what: str) -> None:
        """Nothing."""

    def end(self, what: str) -> None:
        """Nothing."""


class Part(pulumi.ComponentResource):
    """Something for a release to belong to."""

    def __init__(self) -> None:
        super().__init__("test:index:Part", "part")


def planned(values: Mapping[str, Any], *, name: str = "tiny", secret: str | None = None) -> Deployment:
    """A plan that installs one release; `secret` is the name of a value that is secret."""

    def declare() -> None:
        given = {key: pulumi.Output.secret(value) if key == secret else value for key, value in values.items()}
        release(name, TINY, name=name, namespace="somewhere", values=given, parent=Part())

    return deploy(declare)


def widget(**spec: Any) -> Callable[[], object]:
    """A program that makes one custom resource."""
    return lambda: kubernetes.apiextensions.CustomResource(
        "one", api_version="example.com/v1", kind="Widget", metadata={"name": "one", "namespace": "ns"}, spec=spec
    )


HELM = """#!{python}
import json, pathlib, sys
arguments = sys.argv[1:]
if "{outcome}" == "fails":
    sys.exit("Error: the door is shut")
given = dict(zip(arguments[3::2], arguments[4::2]))
folder = pathlib.Path(given["--output-dir"]) / "tiny" / "templates"
folder.mkdir(parents=True)
values = json.load(open(given["--values"]))
kept = {{"arguments": [one for one in arguments if not one.startswith("/")], "values": values}}
(folder / "a.yaml").write_text("---\\n# Source: tiny/templates/a.yaml\\napiVersion: v1\\nkind: ConfigMap\\n"
    "metadata: {{name: a}}\\ndata: {{kept: '" + json.dumps(kept) + "'}}\\n")
"""


def helm(folder: Path, outcome: str = "works") -> Path:
    """A `helm` command that writes down what it was asked, or fails."""
    path = folder / "bin" / "helm"
    path.parent.mkdir(parents=True)
    path.write_text(HELM.format(python=sys.executable, outcome=outcome))
    path.chmod(0o755)
    return path

"""The folder with the data of charts: one sub-folder a chart.

Each has the chart's Chart.yaml and values.yaml, its values.schema.json if it has one, its custom resource definitions
as crds/*.yaml, the same files of its sub-charts under charts/NAME, and its archive, from which it can be rendered.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlp.charts import yaml_text
from mlp.shared.checkout import home_folder
from mlp.shared.errors import PlatformError

FOLDER_VARIABLE = "ML_PLATFORM_CHARTS"
DESCRIPTION = "Chart.yaml"
HOW_TO_GET = f"`mlp charts pull` gets it from the charts' repositories; {FOLDER_VARIABLE} names another folder of it"


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """A sub-chart as its parent declares it; its values lie under `key` of the parent's."""

    name: str
    key: str
    conditions: tuple[tuple[str, ...], ...]
    """Paths of the parent's values; the first that exists decides whether the sub-chart is installed."""


@dataclass(frozen=True, kw_only=True)
class ChartData:
    """Contents of a chart that bear on its values."""

    name: str
    version: str
    values: Mapping[str, Any]
    schema: Mapping[str, Any] | None
    dependencies: tuple[Dependency, ...]
    subcharts: Mapping[str, ChartData]
    """Sub-charts by name, without those that the data lack."""


class ChartStore:
    """The charts of a folder; it need not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Return the names of the charts with data."""
        return sorted(path.parent.name for path in self.folder.glob(f"[!.]*/{DESCRIPTION}"))

    def chart(self, name: str) -> ChartData | None:
        """Return the data of a chart, None where there are none. Raise PlatformError where they cannot be read."""
        return _read_chart(self.folder / name) if name in self.names() else None

    def archive(self, name: str, version: str) -> Path | None:
        """Return the path of the chart's archive, as its repository serves it; None where there is none."""
        path = self.folder / name / archive_name(name, version)
        return path if path.is_file() else None

    def definitions(self) -> Iterator[Mapping[str, Any]]:
        """Yield every CustomResourceDefinition of every chart. Raise PlatformError for a file that cannot be read."""
        for name in self.names():
            for path in sorted((self.folder / name / "crds").glob("*.yaml")):
                for document in _read(path, yaml_text.documents):
                    if isinstance(document, Mapping) and document.get("kind") == "CustomResourceDefinition":
                        yield document


def find_store(environ: Mapping[str, str] = os.environ) -> ChartStore:
    """Return the store in the folder that the environment names, else in the platform's home."""
    given = environ.get(FOLDER_VARIABLE)
    return ChartStore(Path(given).expanduser().resolve() if given else home_folder(environ) / "charts")


def archive_name(name: str, version: str) -> str:
    """Return the file name of a chart's archive."""
    return f"{name}-{version}.tgz"


def _read_chart(folder: Path) -> ChartData:
    description = _read(folder / DESCRIPTION, yaml_text.mapping)
    values, schema = folder / "values.yaml", folder / "values.schema.json"
    return ChartData(
        name=str(description.get("name")),
        version=str(description.get("version")),
        values=_read(values, yaml_text.mapping) if values.is_file() else {},
        schema=_read(schema, json.loads) if schema.is_file() else None,
        dependencies=tuple(_dependency(one) for one in description.get("dependencies") or ()),
        subcharts={
            path.parent.name: _read_chart(path.parent) for path in sorted(folder.glob(f"charts/*/{DESCRIPTION}"))
        },
    )


def _dependency(declared: Mapping[str, Any]) -> Dependency:
    conditions = (one.strip() for one in str(declared.get("condition") or "").split(","))
    return Dependency(
        name=str(declared["name"]),
        key=str(declared.get("alias") or declared["name"]),
        conditions=tuple(tuple(one.split(".")) for one in conditions if one),
    )


def _read(path: Path, parse: Any) -> Any:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise PlatformError(
            f"{path} cannot be read ({' '.join(str(error).split())}); remove its folder and run `mlp charts pull`"
        ) from None

"""Extraction of the files of a chart's archive that are kept as data beside it."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from mlp.charts import yaml_text

MAX_UNPACKED_BYTES = 512 * 1024**2
_NAME = r"[A-Za-z0-9][\w.-]*"
_DESCRIBES = re.compile(rf"(charts/{_NAME}/)*(Chart\.yaml|values\.yaml|values\.schema\.json)")
_MAY_DEFINE = re.compile(r"(.*/)?(crds|templates)/.*\.ya?ml")
_DEFINITION_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


class ArchiveError(Exception):
    """Reason for which an archive is not the chart it should be."""


def data_of(archive: bytes, *, name: str, version: str) -> dict[str, bytes]:
    """Return the files to keep, by their path in the chart's folder. Raise ArchiveError."""
    files = _unpacked(archive, name)
    kept = {path: content for path, content in files.items() if _DESCRIBES.fullmatch(path)}
    try:
        description = yaml_text.mapping(kept.get("Chart.yaml", b"").decode())
    except (ValueError, yaml.YAMLError):
        description = {}
    found = (str(description.get("name")), str(description.get("version")))
    if found != (name, version):
        raise ArchiveError(f"its Chart.yaml is of {found[0]} {found[1]}, not of {name} {version}")
    for definition in _definitions(files):
        # Two charts in one archive may call their files alike; a definition's own name is its alone.
        path = f"crds/{definition['metadata']['name']}.yaml"
        kept[path] = yaml.dump(definition, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)).encode()
    return kept


def _unpacked(archive: bytes, name: str) -> dict[str, bytes]:
    """Return the archive's regular files, in memory, by their path below the chart's folder."""
    files: dict[str, bytes] = {}
    size = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for member in tar:
                size += member.size
                if size > MAX_UNPACKED_BYTES:
                    raise ArchiveError(f"it unpacks to more than {MAX_UNPACKED_BYTES // 1024**2} MiB")
                content = tar.extractfile(member) if member.isfile() else None
                if content is not None:
                    files[member.name.removeprefix(f"{name}/")] = content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArchiveError(f"it is not a gzipped tar ({error})") from None
    return files


def _definitions(files: Mapping[str, bytes]) -> Iterator[dict[str, Any]]:
    for path, content in sorted(files.items()):
        if _MAY_DEFINE.fullmatch(path) and b"CustomResourceDefinition" in content:
            yield from _definitions_in(content.decode(errors="replace"))


def _definitions_in(text: str) -> Iterator[dict[str, Any]]:
    # Some charts wrap definitions in template actions, which stand on lines of their own or give one field its value:
    # what is left without them is the definition. A template that makes one in another way is none that could be read.
    plain = "\n".join(line for line in text.splitlines() if "{{" not in line)
    try:
        found = yaml_text.documents(plain)
    except yaml.YAMLError:
        return
    for document in found:
        if isinstance(document, dict) and document.get("kind") == "CustomResourceDefinition":
            metadata = document.get("metadata")
            name = metadata.get("name") if isinstance(metadata, dict) else None
            if isinstance(name, str) and _DEFINITION_NAME.fullmatch(name):
                yield document

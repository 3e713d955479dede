"""Download of a data set from its authors, verified before it is used."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path

from workloads.data.datasets import data_folder, find, source_of
from workloads.environment import PlatformEnvironment
from workloads.errors import DataError

logger = logging.getLogger(__name__)
TIMEOUT_S = 20
CHUNK_BYTES = 1 << 20


def fetch(name: str, environment: PlatformEnvironment) -> Path:
    """Return the folder that holds the data set, after downloading it if it is missing; raise DataError."""
    source = source_of(name)
    if source is None:
        return find(name, environment)
    folder = data_folder(environment) / name
    if not source.is_in(folder):
        download(source.sha256, source.sources, folder)
    return folder


def download(files: Mapping[str, str], sources: Sequence[str], folder: Path) -> None:
    """Download each file (name and SHA-256) into `folder`, from the first of `sources` that has it.

    Files appear in `folder` only when all are complete and verified; raises DataError otherwise.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as temporary:
        for name, sha256 in files.items():
            _download_file(name, sha256, sources, Path(temporary) / name)
        folder.mkdir(exist_ok=True)
        for name in files:
            (Path(temporary) / name).replace(folder / name)


def _download_file(name: str, sha256: str, sources: Sequence[str], path: Path) -> None:
    faults = []
    for source in sources:
        url = f"{source}/{name}"
        logger.info("fetching %s", url)
        try:
            found = _save(url, path)
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            faults.append(f"{url}: {reason}")
            continue
        if found == sha256:
            return
        faults.append(f"{url}: sha256 is {found}, must be {sha256}")
    raise DataError(f"{name} could not be fetched; nothing was kept. {'; '.join(faults)}")


def _save(url: str, path: Path) -> str:
    """Download `url` to `path` and return its SHA-256."""
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response, path.open("wb") as file:  # noqa: S310  our own URLs
        while chunk := response.read(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()

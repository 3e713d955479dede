"""Data sets in S3: uploaded whole, copied whole. Region, endpoint and login are those of the environment.

`<url>/manifest.json` lists the files, which lie beside it as `files/<SHA-256>`. It is written last and nothing that it
lists is ever overwritten: a reader finds the data set before an upload, or the one after it.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from workloads.errors import DataError

logger = logging.getLogger(__name__)
MANIFEST = "manifest.json"
FILES = "files"
MAX_CONCURRENT_FILES = 16
"""Files that are copied concurrently; a large one comes in parts, ten at a time, as well."""
_MISSING = ("NoSuchKey", "404")


def _below_its_folder(path: str) -> str:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts:
        raise ValueError("must not lead out of its folder")
    return path


class _File(BaseModel, frozen=True, extra="forbid", strict=True):
    path: Annotated[str, AfterValidator(_below_its_folder)]
    """Path within the data set, with `/`."""
    size: int = Field(ge=0)
    """Size in bytes."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class _Manifest(BaseModel, frozen=True, extra="forbid"):
    format: Literal[1] = 1
    files: tuple[_File, ...] = Field(min_length=1)


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """The result of `push`."""

    url: str
    num_files: int
    num_bytes: int
    """Bytes of all files."""
    num_uploaded: int
    """Files that were not there yet."""


def is_s3_url(url: str) -> bool:
    """Return whether the location is an `s3://bucket/prefix`."""
    return url.startswith("s3://")


def push(url: str, folder: Path, paths: Iterable[Path]) -> Pushed:
    """Upload the files at `paths`, which are below `folder`, as the data set at `url`; raise DataError.

    What is there already is not sent again. Readers get what was there before until all files are.
    """
    store = _Store(url)
    with ThreadPoolExecutor(MAX_CONCURRENT_FILES) as pool:
        files = tuple(pool.map(lambda path: _described(path, folder), sorted(paths)))
        manifest = _Manifest(files=files)
        with _told(f"{url} cannot be written to S3"):
            there = dict(store.sizes())
            # Files of equal content are one object.
            missing = {one.sha256: one for one in files if there.get(one.sha256) != one.size}
            logger.info("uploading %d files to %s", len(missing), url)
            list(pool.map(lambda one: store.upload(folder / one.path, one.sha256), missing.values()))
            store.write_manifest(manifest.model_dump_json().encode())
    num_uploaded = sum(one.sha256 in missing for one in files)
    num_bytes = sum(one.size for one in files)
    return Pushed(url=url, num_files=len(files), num_bytes=num_bytes, num_uploaded=num_uploaded)


def is_pushed(url: str) -> bool:
    """Return whether a whole data set is at `url`; raise DataError if S3 cannot be asked."""
    with _told(f"{url} cannot be read from S3"):
        return _Store(url).manifest() is not None


def copy(url: str, cache: Path) -> Path | None:
    """Return a folder below `cache` that holds a copy of the data set at `url`; None if there is no whole one.

    What was copied before is not copied again. Of several processes one copies and the others wait. Raises DataError.
    """
    store = _Store(url)
    with _told(f"{url} cannot be read from S3"):
        text = store.manifest()
        if text is None:
            return None
        try:
            manifest = _Manifest.model_validate_json(text)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"]))
            raise DataError(
                f"{url}/{MANIFEST} is no list of files ({where}: {fault['msg']}); upload the data set again by "
                "`python -m workloads data push`"
            ) from error
        folder = cache / hashlib.sha256(url.encode() + text).hexdigest()[:16]
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(folder.with_name(f".{folder.name}.lock")):
            if not folder.is_dir():
                _copy_files(store, manifest, folder)
    return folder


def _copy_files(store: _Store, manifest: _Manifest, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".copy-", dir=folder.parent) as temporary:
        logger.info("copying %d files from %s", len(manifest.files), store.url)
        whole = Path(temporary, "whole")
        for parent in {(whole / one.path).parent for one in manifest.files}:
            parent.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(MAX_CONCURRENT_FILES) as pool:
            list(pool.map(lambda one: store.download(one, whole / one.path), manifest.files))
        whole.rename(folder)


class _Store:
    """The objects of the data set at an `s3://bucket/prefix`."""

    def __init__(self, url: str) -> None:
        import boto3

        parts = urlsplit(url)
        self.url = url
        self._bucket, self._prefix = parts.netloc, f"{parts.path.strip('/')}/"
        self._client: Any = boto3.client("s3")

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield the SHA-256 of each file that is there, and its size in bytes."""
        folder = f"{self._prefix}{FILES}/"
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=folder):
            yield from ((one["Key"].removeprefix(folder), one["Size"]) for one in page.get("Contents", []))

    def upload(self, path: Path, sha256: str) -> None:
        self._client.upload_file(str(path), self._bucket, f"{self._prefix}{FILES}/{sha256}")

    def download(self, file: _File, path: Path) -> None:
        """Download one file; raise DataError unless it is as the manifest says."""
        self._client.download_file(self._bucket, f"{self._prefix}{FILES}/{file.sha256}", str(path))
        found = _sha256(path)
        if found != file.sha256:
            raise DataError(
                f"{self.url}/{FILES}/{file.sha256} is damaged: its SHA-256 is {found}; remove it and upload the data "
                "set again by `python -m workloads data push`"
            )

    def manifest(self) -> bytes | None:
        """Return the manifest's text; None if there is none."""
        from botocore.exceptions import ClientError

        try:
            response = self._client.get_object(Bucket=self._bucket, Key=self._prefix + MANIFEST)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise
        return bytes(response["Body"].read())

    def write_manifest(self, text: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + MANIFEST, Body=text)


def _described(path: Path, folder: Path) -> _File:
    return _File(path=path.relative_to(folder).as_posix(), size=path.stat().st_size, sha256=_sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Raise DataError that begins with `what` for an error of S3 within the context."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise DataError(f"{what}: {error}") from error


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process is within the context of that lock file."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

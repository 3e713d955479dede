"""Storage of a run's files: a folder, or a prefix in S3. Writes are atomic."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from workloads.errors import CheckpointError


class Store(Protocol):
    """A small number of files by name, each written and read as a whole; a name may contain `/`."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file, replacing one of that name; raise OSError or CheckpointError."""

    def write_new(self, name: str, data: bytes) -> bool:
        """Write a file unless it exists, and return whether it was written. Of two concurrent writers, one succeeds."""

    def read(self, name: str) -> bytes | None:
        """Return a file's content, or None if there is no such file."""

    def names(self, prefix: str) -> list[str]:
        """Return the names that begin with `prefix`, sorted."""

    def delete(self, name: str) -> None:
        """Delete a file; do nothing if it does not exist."""


def open_store(location: str) -> Store:
    """Return the store at a folder's path or at `s3://bucket/prefix`; raise CheckpointError for another scheme."""
    parts = urlsplit(location)
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(parts.netloc, parts.path.strip("/"))
    if parts.scheme not in ("", "file"):
        raise CheckpointError(f"Checkpoints cannot be stored at {location}; use a folder or s3://BUCKET/PREFIX")
    return FolderStore(Path(parts.path if parts.scheme == "file" else location))


def child_location(location: str, name: str) -> str:
    """Return the location of `name` within a location."""
    return f"{location.rstrip('/')}/{name}"


class FolderStore:
    """Files in a folder, which is created with the first of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, data: bytes) -> None:
        """Write to a temporary file beside the target, sync it to disk, and rename it."""
        path = self.folder / name
        temporary = _write_temporary(path, data)
        temporary.replace(path)
        _sync_folder(path.parent)

    def write_new(self, name: str, data: bytes) -> bool:
        """Write a temporary file and hard-link it to the target, which fails if the name is taken."""
        path = self.folder / name
        temporary = _write_temporary(path, data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        _sync_folder(path.parent)
        return True

    def read(self, name: str) -> bytes | None:
        """Return the file's bytes, or None if it does not exist."""
        try:
            return (self.folder / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names(self, prefix: str) -> list[str]:
        """Return the names of complete files, without temporary ones."""
        found = (path for path in self.folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        names = (path.relative_to(self.folder).as_posix() for path in found)
        return sorted(name for name in names if name.startswith(prefix))

    def delete(self, name: str) -> None:
        """Unlink the file if it exists."""
        (self.folder / name).unlink(missing_ok=True)


class S3Store:
    """Objects under a prefix. Region, endpoint and credentials are those of the environment, as boto3 finds them."""

    def __init__(self, bucket: str, prefix: str) -> None:
        import boto3

        self._client = boto3.client("s3")
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""

    def write(self, name: str, data: bytes) -> None:
        """Put the object, which S3 does atomically."""
        self._call("put_object", name, Body=data)

    def write_new(self, name: str, data: bytes) -> bool:
        """Put the object under S3's condition `If-None-Match: *`."""
        response = self._call("put_object", name, Body=data, IfNoneMatch="*", ignored_codes=_TAKEN)
        return response is not None

    def read(self, name: str) -> bytes | None:
        """Return the object's bytes, or None if it does not exist."""
        response = self._call("get_object", name, ignored_codes=_MISSING)
        return None if response is None else bytes(response["Body"].read())

    def names(self, prefix: str) -> list[str]:
        """Return the names, listed page by page."""
        names: list[str] = []
        more: dict[str, Any] = {}
        while True:
            page = self._call("list_objects_v2", None, Prefix=self._prefix + prefix, **more) or {}
            names += [str(one["Key"]).removeprefix(self._prefix) for one in page.get("Contents", [])]
            if not page.get("IsTruncated"):
                return sorted(names)
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, name: str) -> None:
        """Delete the object; S3 accepts keys that do not exist."""
        self._call("delete_object", name)

    def _call(self, operation: str, name: str | None, *, ignored_codes: tuple[str, ...] = (), **arguments: Any) -> Any:
        """Return S3's response, or None for the error codes of `unless`; raise CheckpointError with S3's message."""
        from botocore.exceptions import BotoCoreError, ClientError

        if name is not None:
            arguments["Key"] = self._prefix + name
        try:
            return getattr(self._client, operation)(Bucket=self._bucket, **arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] in ignored_codes:
                return None
            fault: Exception = error
        except BotoCoreError as error:
            fault = error
        location = f"s3://{self._bucket}/{self._prefix}{name or ''}"
        raise CheckpointError(f"{location}: S3 could not carry out a request: {fault}") from fault


_MISSING = ("NoSuchKey", "404")
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict")


def _write_temporary(path: Path, data: bytes) -> Path:
    """Write the data to a new file synced to disk, named with a dot so that `names` omits it; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_folder(folder: Path) -> None:
    """Sync the folder's entries to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

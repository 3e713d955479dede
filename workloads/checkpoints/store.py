"""Where a run's files lie: a folder, or a prefix in S3. A file is there whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from workloads.errors import CheckpointError


class Store(Protocol):
    """Small numbers of whole files by name; a name may contain `/`."""

    def write(self, name: str, data: bytes) -> None:
        """Put a file there, in place of the one that was there; raises OSError or CheckpointError."""

    def write_new(self, name: str, data: bytes) -> bool:
        """Put a file there unless there is one; whether it was put. Of two that do so at once, one succeeds."""

    def read(self, name: str) -> bytes | None:
        """A file's content; None if there is no such file."""

    def names(self, prefix: str) -> list[str]:
        """The names that begin with `prefix`, sorted."""

    def delete(self, name: str) -> None:
        """Remove a file; one that is not there is no fault."""


def open_store(place: str) -> Store:
    """The store at a folder's path or at `s3://bucket/prefix`; raises CheckpointError for another scheme."""
    parts = urlsplit(place)
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(parts.netloc, parts.path.strip("/"))
    if parts.scheme not in ("", "file"):
        raise CheckpointError(f"Checkpoints cannot lie at {place}; use a folder or s3://BUCKET/PREFIX")
    return FolderStore(Path(parts.path if parts.scheme == "file" else place))


def below(place: str, name: str) -> str:
    """The place `name` within a place."""
    return f"{place.rstrip('/')}/{name}"


class FolderStore:
    """Files of a folder, which is made with the first of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, data: bytes) -> None:
        """Beside the place, to the disk, then renamed."""
        path = self.folder / name
        beside = _written_beside(path, data)
        beside.replace(path)
        _sync_folder(path.parent)

    def write_new(self, name: str, data: bytes) -> bool:
        """A link is made of the whole file, which fails if the name is taken."""
        path = self.folder / name
        beside = _written_beside(path, data)
        try:
            os.link(beside, path)
        except FileExistsError:
            return False
        finally:
            beside.unlink()
        _sync_folder(path.parent)
        return True

    def read(self, name: str) -> bytes | None:
        """The file's bytes."""
        try:
            return (self.folder / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names(self, prefix: str) -> list[str]:
        """Files that were begun and not finished are not among them."""
        found = (path for path in self.folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        names = (path.relative_to(self.folder).as_posix() for path in found)
        return sorted(name for name in names if name.startswith(prefix))

    def delete(self, name: str) -> None:
        """Unlink it."""
        (self.folder / name).unlink(missing_ok=True)


class S3Store:
    """Objects under a prefix. Region, endpoint and credentials are those of the environment, as boto3 finds them."""

    def __init__(self, bucket: str, prefix: str) -> None:
        import boto3

        self._client = boto3.client("s3")
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""

    def write(self, name: str, data: bytes) -> None:
        """An object appears whole."""
        self._ask("put_object", name, Body=data)

    def write_new(self, name: str, data: bytes) -> bool:
        """By S3's own condition."""
        answer = self._ask("put_object", name, Body=data, IfNoneMatch="*", unless=_TAKEN)
        return answer is not None

    def read(self, name: str) -> bytes | None:
        """The object's bytes."""
        answer = self._ask("get_object", name, unless=_MISSING)
        return None if answer is None else bytes(answer["Body"].read())

    def names(self, prefix: str) -> list[str]:
        """In as many requests as it takes."""
        names: list[str] = []
        more: dict[str, Any] = {}
        while True:
            page = self._ask("list_objects_v2", None, Prefix=self._prefix + prefix, **more) or {}
            names += [str(one["Key"]).removeprefix(self._prefix) for one in page.get("Contents", [])]
            if not page.get("IsTruncated"):
                return sorted(names)
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, name: str) -> None:
        """S3 does not mind an object that is not there."""
        self._ask("delete_object", name)

    def _ask(self, operation: str, name: str | None, *, unless: tuple[str, ...] = (), **arguments: Any) -> Any:
        """S3's answer; None for the error codes of `unless`. Raises CheckpointError with S3's own message."""
        from botocore.exceptions import BotoCoreError, ClientError

        if name is not None:
            arguments["Key"] = self._prefix + name
        try:
            return getattr(self._client, operation)(Bucket=self._bucket, **arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] in unless:
                return None
            fault: Exception = error
        except BotoCoreError as error:
            fault = error
        place = f"s3://{self._bucket}/{self._prefix}{name or ''}"
        raise CheckpointError(f"{place}: S3 could not carry out a request: {fault}") from fault


_MISSING = ("NoSuchKey", "404")
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict")


def _written_beside(path: Path, data: bytes) -> Path:
    """A file of its own with the data, on the disk; it begins with a dot, so that `names` does not see it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return beside


def _sync_folder(folder: Path) -> None:
    """Have the name on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

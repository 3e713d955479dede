"""Writing of files that other programs read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from mlp.shared.errors import PlatformError

_SHARED = 0o666
_PRIVATE = 0o600


def write_whole(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, so that a reader never sees half a file.

    What is there and is no file (a pipe, /dev/null) is written to as it is: a rename would put a file in its place.
    Raises PlatformError where it cannot be written.
    """
    if path.exists() and not path.is_file():
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise _unwritten(path, error) from error
    else:
        _replace(path, text, mode=_SHARED)


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, readable by this user only.

    Raises PlatformError where it cannot be written.
    """
    _replace(path, text, mode=_PRIVATE)


def _replace(path: Path, text: str, *, mode: int) -> None:
    """Write beside `path` and rename; `mode` holds from the file's creation, less what the umask takes."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")  # of two writers each has its own
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritten(path, error) from error


def _unwritten(path: Path, error: OSError) -> PlatformError:
    return PlatformError(f"{path} could not be written: {error.strerror}; correct that and run the command again")

"""Files that other programs read."""

from __future__ import annotations

from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write beside and rename, so that a reader never sees half a file.

    What is there and is no file (a pipe, /dev/null) is written to as it is: a rename would put a file in its place.
    """
    if path.exists() and not path.is_file():
        path.write_text(text)
        return
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(text)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)

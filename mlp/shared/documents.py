"""The parts of documents that a command writes, each between two lines that mark it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlp.shared.errors import PlatformError
from mlp.shared.files import write_whole


@dataclass(frozen=True, kw_only=True)
class Marks:
    """The lines around a part: what it holds, by its name, and the command that writes it."""

    what: str
    command: str

    @property
    def begin(self) -> str:
        """Return the line before the part."""
        return f"<!-- {self.what}: written by `{self.command}` -->"

    @property
    def end(self) -> str:
        """Return the line after the part."""
        return f"<!-- end of {self.what} -->"

    def around(self, content: str) -> str:
        """Return the part whole, its two marks included."""
        return "\n".join((self.begin, "", content.strip("\n"), "", self.end))


def with_part(text: str, marks: Marks, content: str, *, name: str) -> str:
    """Return the document `text` with `content` between the marks; all else is as it was.

    `name` is the document's, for messages. Raises PlatformError unless each mark is there once, on a line of its own,
    and the first before the second.
    """
    lines = text.split("\n")
    begin, end = (_line_of(mark, lines, marks, name) for mark in (marks.begin, marks.end))
    if end < begin:
        raise PlatformError(f"{name} has the line `{marks.end}` before `{marks.begin}`; put them in order")
    return "\n".join((*lines[:begin], marks.around(content), *lines[end + 1 :]))


def update(path: Path, marks: Marks, content: str) -> bool:
    """Write `content` between the marks of the document at `path`; return whether something else was there.

    The file is written whole or not at all. Raises PlatformError for one that cannot be read or written, or that lacks
    the marks.
    """
    old = _read(path)
    new = with_part(old, marks, content, name=path.name)
    if new != old:
        write_whole(path, new)
    return new != old


def outcome(path: Path, *, written: bool) -> str:
    """Return the line that tells people what became of the document."""
    return f"{path}: {'written' if written else 'is current'}"


def _line_of(mark: str, lines: list[str], marks: Marks, name: str) -> int:
    """Return the index of the one line that is `mark`."""
    found = [index for index, line in enumerate(lines) if line.strip() == mark]
    if not found:
        raise PlatformError(
            f"{name} has no line `{mark}`; add the lines `{marks.begin}` and `{marks.end}` where "
            f"`{marks.command}` is to write its {marks.what}"
        )
    if len(found) > 1:
        places = ", ".join(str(index + 1) for index in found)
        raise PlatformError(f"{name} has the line `{mark}` {len(found)} times (lines {places}); leave one of them")
    return found[0]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise PlatformError(f"{path} cannot be read: {error.strerror}; name a document that is there") from error
    except UnicodeDecodeError as error:
        raise PlatformError(f"{path} is no text in UTF-8 ({error.reason}); name a document") from error

"""The `pulumi` command, for one stack of one program."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from mlp.shared.errors import PlatformError


class Stack(Protocol):
    """A stack's state."""

    name: str

    def export(self) -> str:
        """Return the state as JSON, its secrets encrypted."""

    def replace(self, state: str) -> None:
        """Put another state in its place."""

    def refresh(self, urns: Sequence[str]) -> None:
        """Read resources into the state; what is not there leaves it."""

    def delete(self, urns: Sequence[str]) -> None:
        """Delete resources, in the state and outside of it."""


class PulumiStack:
    """A stack as `pulumi` reaches it from here: by the user's login and variables."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._folder = name, folder

    def export(self) -> str:
        """Return the state as JSON, its secrets encrypted. Raise PlatformError as all here do, when it cannot."""
        return self._run("stack", "export")

    def replace(self, state: str) -> None:
        """Put another state in its place; the backend keeps the former one."""
        self._run("stack", "import", given=state)

    def refresh(self, urns: Sequence[str]) -> None:
        """Read resources into the state, by the credentials that the state's providers name."""
        self._run("refresh", "--yes", "--skip-preview", *_targets(urns))

    def delete(self, urns: Sequence[str]) -> None:
        """Delete resources, by the same credentials."""
        self._run("destroy", "--yes", "--skip-preview", *_targets(urns))

    def _run(self, *words: str, given: str | None = None) -> str:
        command = ["pulumi", *words, "--stack", self.name, "--cwd", str(self._folder), "--non-interactive"]
        said = "pulumi " + " ".join(word for word in words[:2] if not word.startswith("-"))
        try:
            done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise PlatformError("pulumi is not on the PATH; install the pinned version and run this again") from None
        if done.returncode != 0:
            raise PlatformError(f"{said} failed: {_reason(done.stderr, done.stdout)}{self._next_step(done.stderr)}")
        return done.stdout

    def _next_step(self, said: str) -> str:
        where = f" --cwd {self._folder}" if self._folder != Path.cwd() else ""
        if "currently locked" in said:
            return f"\n  If nothing runs any more, `pulumi cancel --stack {self.name}{where}` and run this again."
        if "EOF" in said:
            return (
                "\n  A file that the kill left empty is in the way. With a state in a folder: "
                "`find FOLDER/.pulumi -name '*.attrs' -empty -delete`, then run this again."
            )
        return ""


def _targets(urns: Sequence[str]) -> list[str]:
    return [word for urn in urns for word in ("--target", urn)]


def _reason(*outputs: str) -> str:
    """Return the lines that say what went wrong."""
    for text in outputs:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("error:")]
        if errors or lines:
            return "\n  ".join(errors or lines[-3:])
    return "it printed nothing"

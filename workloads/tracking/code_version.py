"""The version of the running code."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

TIMEOUT_S = 5


@cache
def code_version(file: Path = Path(__file__)) -> str | None:
    """Return the commit that holds `file`, with `-dirty` if the checkout differs; None outside of a checkout.

    An installed copy has none, even where it lies within another project's checkout.
    """
    if _git(file, "ls-files", "--error-unmatch", file.name) is None:
        return None
    return _git(file, "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*")


def _git(file: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(file.parent), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None

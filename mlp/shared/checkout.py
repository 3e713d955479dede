"""The checkout that a command works on: the one its user stands in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mlp.shared.errors import PlatformError

HOME_VARIABLE = "MLP_HOME"
REPOSITORY = Path(__file__).resolve().parents[2]
"""Folder of this code: a checkout, where the package is installed as an editable one."""
_HOME = ".mlp"


def find_checkout(folder: Path | None = None, *, installed: Path = REPOSITORY) -> Path | None:
    """Return the repository root above `folder` (default: the working directory), else `installed`, where this code is.

    None where neither is a checkout. Raises PlatformError where `folder` lies in another checkout than this code: its
    programs and settings may want another version of it.
    """
    start = (folder or Path.cwd()).resolve()
    around = next((one for one in (start, *start.parents) if _is_checkout(one)), None)
    if around is not None and around != installed and _is_checkout(installed):
        raise PlatformError(
            f"this is the mlp of {installed}, and you are in the checkout {around}; "
            f"run {around / '.venv' / 'bin' / 'mlp'} (`make up` there installs it), or change into {installed}"
        )
    return around or (installed if _is_checkout(installed) else None)


def home_folder(
    environ: Mapping[str, str] = os.environ, folder: Path | None = None, *, installed: Path = REPOSITORY
) -> Path:
    """Return the folder of the platform on this machine: `MLP_HOME`, else `.mlp` in the checkout of `find_checkout`.

    Raises PlatformError where there is no checkout at all, or another than this code's.
    """
    given = environ.get(HOME_VARIABLE)
    if given:
        return Path(given).expanduser().resolve()
    root = find_checkout(folder, installed=installed)
    if root is None:
        raise PlatformError(
            f"no checkout of the platform here (a folder with Pulumi.yaml and stacks/platform); "
            f"change into one, or set {HOME_VARIABLE} to a folder for the platform's data"
        )
    return root / _HOME


def _is_checkout(folder: Path) -> bool:
    # A stack program further down has a Pulumi.yaml too.
    return (folder / "Pulumi.yaml").is_file() and (folder / "stacks" / "platform").is_dir()

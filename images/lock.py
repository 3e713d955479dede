"""Write the lock of each image, `requirements.lock` beside its `requirements.in`; run by `make locks`.

The versions are those of constraints.txt. A lock holds the wheels for the Python of the image's base on Linux, for
x86-64 and ARM, with the hashes that the package index publishes; an image installs nothing else.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
PLATFORMS = ("x86_64-manylinux_2_36", "aarch64-manylinux_2_36")
"""Wheel platforms of the images' bases, which are Debian 12."""
HEADER = "# Written by `make locks` from requirements.in and constraints.txt: change those.\n"

Packages = dict[tuple[str, str], set[str]]
"""Hashes of the wheels of each package, by its name and version."""


def main() -> None:
    """Write the lock of every image that has requirements."""
    for requirements in sorted((REPOSITORY / "images").glob("*/requirements.in")):
        python = python_version((requirements.parent / "Dockerfile").read_text())
        resolved = [packages(tomllib.loads(resolve(requirements, python, platform))) for platform in PLATFORMS]
        lock = requirements.with_suffix(".lock")
        lock.write_text(HEADER + "".join(f"{line}\n" for line in lines(resolved)))
        sys.stdout.write(f"{lock.relative_to(REPOSITORY)}: {len(resolved[0])} packages\n")


def python_version(dockerfile: str) -> str:
    """Return the major and minor version of the Python that `dockerfile` begins from."""
    base = re.search(r"^FROM python:(\d+\.\d+)", dockerfile, re.MULTILINE)
    if base is None:
        raise ValueError("an image with requirements begins FROM python:X.Y")
    return base[1]


def resolve(requirements: Path, python: str, platform: str) -> str:
    """Return a pylock.toml with all that `requirements` needs, directly or not."""
    command = [sys.executable, "-m", "uv", "pip", "compile", str(requirements), "--quiet", "--no-config"]
    command += ["--constraint", str(REPOSITORY / "constraints.txt"), "--python-version", python]
    command += ["--python-platform", platform, "--only-binary", ":all:", "--format", "pylock.toml"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def packages(pylock: Mapping[str, Any]) -> Packages:
    """Return the packages that a parsed pylock.toml holds."""
    return {
        (package["name"], package["version"]): {wheel["hashes"]["sha256"] for wheel in package["wheels"]}
        for package in pylock["packages"]
    }


def lines(resolved: Sequence[Packages]) -> list[str]:
    """Return a requirement with all its hashes for each package, in the order of their names.

    Raises ValueError where the platforms need different packages: one lock could not serve them.
    """
    first, *others = resolved
    for other in others:
        if different := sorted(first.keys() ^ other.keys()):
            raise ValueError(f"the platforms need different packages: {different}")
    return [
        " ".join([f"{name}=={version}", *(f"--hash=sha256:{one}" for one in sorted(set().union(*hashes)))])
        for name, version in sorted(first)
        for hashes in [[one[name, version] for one in resolved]]
    ]


if __name__ == "__main__":
    main()

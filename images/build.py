"""Build the images with podman or docker; run by `make images`.

CONTAINER_ENGINE names the command, such as `docker` or `podman --runtime runc`; otherwise it is the one of these that
is installed. Where no registry is reached, IMAGE_BASES names images that stand in for others: a JSON object from a
repository, such as `python` or `apache/airflow`, to an image that the engine has.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.data.image import content_tag

REPOSITORY = Path(__file__).resolve().parents[1]
ENGINES = ("podman", "docker")


def main() -> None:
    """Build every image, and say under which name it is kept."""
    command = engine(os.environ)
    if command is None:
        sys.exit(f"no container engine: install one of {', '.join(ENGINES)}, or name a command in CONTAINER_ENGINE")
    for dockerfile in sorted((REPOSITORY / "images").glob("*/Dockerfile")):
        name = dockerfile.parent.name
        tag = f"ml-platform/{name}:{content_tag(REPOSITORY, f'images/{name}/Dockerfile')}"
        subprocess.run(build_command(command, dockerfile, tag, REPOSITORY, stand_ins(os.environ)), check=True)
        sys.stdout.write(f"{tag}\n")


def engine(environ: Mapping[str, str]) -> list[str] | None:
    """Return the command of the container engine, None where there is none."""
    if named := environ.get("CONTAINER_ENGINE"):
        return shlex.split(named)
    return next(([one] for one in ENGINES if shutil.which(one)), None)


def stand_ins(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the images that stand in for others, by the repository of those."""
    found = json.loads(environ.get("IMAGE_BASES") or "{}")
    return {str(repository): str(image) for repository, image in found.items()}


def repository(image: str) -> str:
    """Return the repository of an image's reference, without Docker's own registry, tag and digest."""
    name = image.partition("@")[0]
    return re.sub(r":[^:/]+$", "", name).removeprefix("docker.io/").removeprefix("library/")


def build_command(
    command: list[str], dockerfile: Path, tag: str, context: Path, instead: Mapping[str, str]
) -> list[str]:
    """Return the command that builds `dockerfile` in `context` and keeps it under `tag`."""
    scheme = "docker-image" if "docker" in Path(command[0]).name else "container-image"
    options = []
    for base in re.findall(r"^FROM (\S+)", dockerfile.read_text(), re.MULTILINE):
        if stand_in := instead.get(repository(base)):
            options += ["--build-context", f"{base}={scheme}://{stand_in}"]
    return [*command, "build", *options, "--tag", tag, "--file", str(dockerfile), str(context)]


if __name__ == "__main__":
    main()

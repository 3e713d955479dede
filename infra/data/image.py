"""A container image built from this repository and kept in the platform's registry."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pulumi_docker_build as docker_build

REPOSITORY_FROM_PROGRAM = "../.."
"""The repository as seen from a program's folder, in which Pulumi starts the program and its plugins. An absolute path
would be another input, and so another build, in every folder that the same commit is deployed from."""


@dataclass(frozen=True, kw_only=True)
class ImageArgs:
    """Inputs of `Image`.

    `context` is the build context, the top of the repository, and `dockerfile` a path in it.
    """

    repository_url: pulumi.Input[str]
    context: Path
    dockerfile: str


class Image(pulumi.ComponentResource):
    """An image, built and pushed when what goes into it changes; `reference` names it by digest."""

    repository_url: pulumi.Output[str]
    tag: str
    digest: pulumi.Output[str]
    pinned_tag: pulumi.Output[str]
    """Tag and digest, for a chart that takes a tag alone."""
    reference: pulumi.Output[str]

    def __init__(self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:image:Image", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        login = aws.ecr.get_authorization_token_output(opts=pulumi.InvokeOutputOptions(parent=self))
        self.tag = content_tag(args.context, args.dockerfile)
        cache = pulumi.Output.format("{0}:cache", args.repository_url)
        image = docker_build.Image(
            f"{name}-build",
            context={"location": REPOSITORY_FROM_PROGRAM},
            dockerfile={"location": f"{REPOSITORY_FROM_PROGRAM}/{args.dockerfile}"},
            platforms=[docker_build.Platform.LINUX_AMD64],
            tags=[pulumi.Output.format("{0}:{1}", args.repository_url, self.tag)],
            push=True,
            build_on_preview=False,
            cache_from=[{"registry": {"ref": cache}}],
            # ECR takes a cache only as an OCI image manifest.
            cache_to=[
                {
                    "registry": {
                        "ref": cache,
                        "mode": docker_build.CacheMode.MAX,
                        "image_manifest": True,
                        "oci_media_types": True,
                    }
                }
            ],
            registries=[
                {"address": args.repository_url, "username": login.user_name, "password": login.password},
            ],
            opts=child,
        )
        self.repository_url = pulumi.Output.from_input(args.repository_url)
        self.digest = image.digest
        self.pinned_tag = pulumi.Output.format("{0}@{1}", self.tag, image.digest)
        self.reference = pulumi.Output.format("{0}@{1}", args.repository_url, image.digest)
        self.register_outputs({"reference": self.reference})


def content_tag(context: Path, dockerfile: str) -> str:
    """Return 16 hex digits that stand for the names and contents of `dockerfile` and of all that it copies.

    Raises what `copied_files` raises.
    """
    digest = hashlib.sha256()
    for path in [context / dockerfile, *copied_files(context, dockerfile)]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(context).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def copied_files(context: Path, dockerfile: str) -> list[Path]:
    """Return the files of `context` that the COPY instructions of `dockerfile` name, in the order of their names.

    Compiled Python is left out, as in the ignore files.

    Raises pulumi.RunError for an instruction whose files cannot be told from its text, and for one that names what is
    not there, or a pattern without a match, which some builders take and others refuse.
    """
    files: set[Path] = set()
    for source in _copied_sources((context / dockerfile).read_text()):
        tops = list(context.glob(source))
        if not tops:
            raise pulumi.RunError(f"{dockerfile} copies {source}, which does not exist in {context}")
        for top in tops:
            files.update(path for path in (top, *top.rglob("*")) if path.is_file())
    return sorted(path for path in files if "__pycache__" not in path.parts)


def _copied_sources(dockerfile: str) -> list[str]:
    """Return the sources that the text of a Dockerfile copies from its context, as written there."""
    without_comments = re.sub(r"^[ \t]*#.*\n", "", dockerfile, flags=re.MULTILINE)
    sources = []
    for line in without_comments.replace("\\\n", " ").splitlines():
        instruction, *words = line.split() or [""]
        options = [word for word in words if word.startswith("--")]
        if instruction.upper() not in ("ADD", "COPY") or any(option.startswith("--from=") for option in options):
            continue
        if instruction.upper() == "ADD" or re.search(r"^\[|[$\"]|<<", " ".join(words[len(options) :])):
            raise pulumi.RunError(
                f"`{line.strip()}` does not tell which files it takes: write COPY with paths or patterns"
            )
        sources += words[len(options) : -1]
    return sources

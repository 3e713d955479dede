"""A container image built from this repository and kept in the platform's registry."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pulumi_docker_build as docker_build


@dataclass(frozen=True, kw_only=True)
class ImageArgs:
    """Inputs of `Image`.

    `context` is the build context and `dockerfile` lies in it; `sources` are the files and folders, relative to the
    context, that go into the image: the tag is a hash of their content.
    """

    repository_url: pulumi.Input[str]
    context: Path
    dockerfile: str
    sources: tuple[str, ...]


class Image(pulumi.ComponentResource):
    """An image, built when its sources change and pushed; `reference` names it by digest."""

    repository_url: pulumi.Output[str]
    tag: str
    digest: pulumi.Output[str]
    pinned_tag: pulumi.Output[str]
    """Tag and digest, for a chart that has a place for a tag alone."""
    reference: pulumi.Output[str]

    def __init__(self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:image:Image", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        login = aws.ecr.get_authorization_token_output(opts=pulumi.InvokeOutputOptions(parent=self))
        self.tag = content_tag(args.context, args.sources)
        cache = pulumi.Output.format("{0}:cache", args.repository_url)
        image = docker_build.Image(
            f"{name}-build",
            context={"location": str(args.context)},
            dockerfile={"location": str(args.context / args.dockerfile)},
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


def content_tag(context: Path, sources: Sequence[str]) -> str:
    """16 hex digits that stand for the names and contents of all files in `sources`, relative to `context`.

    Raises FileNotFoundError for a source that is not there.
    """
    digest = hashlib.sha256()
    for source in sources:
        top = context / source
        if not top.exists():
            raise FileNotFoundError(f"{top} is a source of the image and does not exist")
        files = [top] if top.is_file() else sorted(path for path in top.rglob("*") if path.is_file())
        for path in files:
            if "__pycache__" in path.parts:
                continue
            content = path.read_bytes()
            digest.update(f"{path.relative_to(context).as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()[:16]

import pulumi
import pytest

from infra.data.image import Image, ImageArgs, content_tag
from tests.builders import deploy, inputs_of

REGISTRY = "registry.example.com/server"


def build(folder):
    """What the builder is told of an image with one source, and what the image's users are told."""
    (folder / "code").mkdir()
    (folder / "code" / "a.py").write_text("1")

    def declare():
        image = Image(
            "server",
            ImageArgs(repository_url=REGISTRY, context=folder, dockerfile="images/Dockerfile", sources=("code",)),
        )
        for name in ("tag", "pinned_tag", "reference", "digest"):
            pulumi.export(name, getattr(image, name))

    deployment = deploy(declare)
    [inputs] = inputs_of(deployment, "docker-build:index:Image").values()
    return inputs, deployment.outputs


def test_an_image_is_built_from_its_dockerfile_for_the_nodes_and_pushed_by_deployments_alone(tmp_path):
    inputs, _ = build(tmp_path)
    assert inputs["context"] == {"location": str(tmp_path)}
    assert inputs["dockerfile"] == {"location": str(tmp_path / "images" / "Dockerfile")}
    assert inputs["platforms"] == ["linux/amd64"]
    assert (inputs["push"], inputs["buildOnPreview"]) == (True, False)


def test_an_image_is_tagged_by_its_content_and_named_by_its_digest(tmp_path):
    inputs, told = build(tmp_path)
    tag = content_tag(tmp_path, ["code"])
    assert inputs["tags"] == [f"{REGISTRY}:{tag}"]
    assert told["digest"].startswith("sha256:")
    assert told["tag"] == tag
    assert told["pinned_tag"] == f"{tag}@{told['digest']}"
    assert told["reference"] == f"{REGISTRY}@{told['digest']}"


def test_an_images_layers_are_kept_in_its_registry_in_a_form_that_ecr_takes(tmp_path):
    inputs, _ = build(tmp_path)
    cache = {"ref": f"{REGISTRY}:cache"}
    [read], [written] = inputs["cacheFrom"], inputs["cacheTo"]
    assert read["registry"] == cache
    assert written["registry"] == {**cache, "mode": "max", "imageManifest": True, "ociMediaTypes": True}
    [login] = inputs["registries"]
    assert login["address"] == REGISTRY
    assert login["username"]
    assert login["password"]


def test_an_images_tag_changes_with_content_and_name_and_with_nothing_else(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("1")
    (tmp_path / "lock.txt").write_text("x")
    first = content_tag(tmp_path, ["code", "lock.txt"])
    (tmp_path / "code" / "__pycache__").mkdir()
    (tmp_path / "code" / "__pycache__" / "a.pyc").write_text("compiled")
    assert content_tag(tmp_path, ["code", "lock.txt"]) == first
    (tmp_path / "code" / "a.py").rename(tmp_path / "code" / "b.py")
    renamed = content_tag(tmp_path, ["code", "lock.txt"])
    assert renamed != first
    (tmp_path / "code" / "b.py").write_text("2")
    assert content_tag(tmp_path, ["code", "lock.txt"]) not in {first, renamed}


def test_an_images_missing_source_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is a source of the image and does not exist"):
        content_tag(tmp_path, ["nowhere"])

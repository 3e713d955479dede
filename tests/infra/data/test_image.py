import re

import pulumi
import pytest

from infra.data.image import Image, ImageArgs, content_tag, copied_files
from tests.builders import deploy, inputs_of

REGISTRY = "registry.example.com/server"
DOCKERFILE = "images/Dockerfile"


def write(folder, dockerfile):
    """A Dockerfile, beside two files of code and one that is of no image."""
    for path, content in {DOCKERFILE: dockerfile, "code/a.py": "1", "code/b.py": "2", "README.md": "x"}.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(content)


def build(folder):
    """What the builder is told of an image, and what the image's users are told."""
    write(folder, "FROM scratch\nCOPY code /code\n")

    def declare():
        args = ImageArgs(repository_url=REGISTRY, context=folder, dockerfile=DOCKERFILE)
        image = Image("server", args)
        for name in ("tag", "pinned_tag", "reference", "digest"):
            pulumi.export(name, getattr(image, name))

    deployment = deploy(declare)
    [inputs] = inputs_of(deployment, "docker-build:index:Image").values()
    return inputs, deployment.outputs


def test_an_image_is_built_from_its_dockerfile_for_the_nodes_and_pushed_by_deployments_alone(tmp_path):
    inputs, _ = build(tmp_path)
    assert inputs["context"] == {"location": "../.."}
    assert inputs["dockerfile"] == {"location": "../../images/Dockerfile"}
    assert inputs["platforms"] == ["linux/amd64"]
    assert (inputs["push"], inputs["buildOnPreview"]) == (True, False)


def test_an_image_is_tagged_by_its_content_and_named_by_its_digest(tmp_path):
    inputs, told = build(tmp_path)
    tag = content_tag(tmp_path, DOCKERFILE)
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


def test_an_images_tag_changes_with_what_it_copies_and_with_its_dockerfile(tmp_path):
    write(tmp_path, "FROM scratch\nCOPY code /code\n")
    first = content_tag(tmp_path, DOCKERFILE)
    (tmp_path / "README.md").write_text("y")
    (tmp_path / "code" / "__pycache__").mkdir()
    (tmp_path / "code" / "__pycache__" / "a.pyc").write_text("compiled")
    assert content_tag(tmp_path, DOCKERFILE) == first
    (tmp_path / "code" / "a.py").rename(tmp_path / "code" / "c.py")
    renamed = content_tag(tmp_path, DOCKERFILE)
    (tmp_path / "code" / "c.py").write_text("3")
    edited = content_tag(tmp_path, DOCKERFILE)
    (tmp_path / DOCKERFILE).write_text("FROM scratch\nCOPY code /other\n")
    assert len({first, renamed, edited, content_tag(tmp_path, DOCKERFILE)}) == 4


@pytest.mark.parametrize(
    ("instructions", "copied"),
    [
        ("COPY code /code", ["code/a.py", "code/b.py"]),
        ("copy code/a.py README.md /code/", ["README.md", "code/a.py"]),
        ("COPY --chown=1000 --chmod=755 \\\n  # a comment\n  code/a.py \\\n  /code/", ["code/a.py"]),
        ("COPY code/[b-z].py /code/", ["code/b.py"]),
        ("COPY --from=builder /code /code\n# COPY README.md /\nRUN echo COPY README.md /", []),
    ],
    ids=["folder", "files", "options", "patterns", "none"],
)
def test_what_an_image_copies_is_read_from_its_dockerfile(tmp_path, instructions, copied):
    write(tmp_path, f"FROM scratch\n{instructions}\n")
    assert [path.relative_to(tmp_path).as_posix() for path in copied_files(tmp_path, DOCKERFILE)] == copied


@pytest.mark.parametrize(
    "instruction",
    ["ADD code /code", 'COPY ["code", "/code"]', "COPY $FOLDER /code", "COPY <<EOF /code/a.py", 'COPY "code" /code'],
)
def test_an_instruction_that_hides_what_it_takes_is_refused(tmp_path, instruction):
    write(tmp_path, f"FROM scratch\n{instruction}\n")
    with pytest.raises(pulumi.RunError, match="write COPY with paths or patterns"):
        copied_files(tmp_path, DOCKERFILE)


@pytest.mark.parametrize("source", ["nowhere", "cod[f]"])
def test_a_file_that_is_copied_and_missing_is_named(tmp_path, source):
    write(tmp_path, f"FROM scratch\nCOPY {source} /code\n")
    missing = re.escape(f"images/Dockerfile copies {source}, which does not exist in ")
    with pytest.raises(pulumi.RunError, match=missing):
        content_tag(tmp_path, DOCKERFILE)

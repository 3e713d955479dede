"""How images are built: with which engine, and from which bases."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DIGEST = "@sha256:" + "0a" * 32
build = SimpleNamespace(**runpy.run_path(str(REPOSITORY / "images" / "build.py")))


@pytest.mark.parametrize(
    ("reference", "repository"),
    [
        (f"python:3.12-slim{DIGEST}", "python"),
        ("docker.io/library/postgres:17-alpine", "postgres"),
        (f"apache/airflow:3.3.2{DIGEST}", "apache/airflow"),
        ("host:5000/team/image", "host:5000/team/image"),
        ("busybox", "busybox"),
    ],
)
def test_the_repository_of_an_image(reference, repository):
    assert build.repository(reference) == repository


def test_an_engine_is_the_one_that_is_named():
    assert build.engine({"CONTAINER_ENGINE": "podman --runtime runc"}) == ["podman", "--runtime", "runc"]


def test_a_base_is_the_one_of_the_dockerfile_unless_another_stands_in_for_it(tmp_path):
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(f"FROM python:3.12{DIGEST}\nUSER 1\n")
    plain = ["podman", "build", "--tag", "a:1", "--file", str(dockerfile), str(tmp_path)]
    assert build.build_command(["podman"], dockerfile, "a:1", tmp_path, {}) == plain
    assert build.stand_ins({}) == {}
    instead = build.stand_ins({"IMAGE_BASES": '{"python": "localhost/python"}'})
    for engine, scheme in (("podman", "container-image"), ("docker", "docker-image")):
        command = build.build_command([engine], dockerfile, "a:1", tmp_path, instead)
        named = ["--build-context", f"python:3.12{DIGEST}={scheme}://localhost/python"]
        assert command == [engine, "build", *named, *plain[2:]]

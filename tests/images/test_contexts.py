"""What goes into each image: what its Dockerfile copies, its ignore file admits and its tag stands for are the same."""

import re
import shutil
from pathlib import Path

import pytest

from infra.data.image import content_tag, copied_files

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGES = sorted(path.parent.name for path in (REPOSITORY / "images").glob("*/Dockerfile"))


@pytest.fixture
def place(tmp_path):
    """A copy of what lies beside the images, with compiled Python, and with a pipeline."""
    for folder in ("images", "workloads", "docs"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in REPOSITORY.iterdir():
        if path.is_file() and path.suffix:
            shutil.copy(path, tmp_path)
    for added in ("tests/test_cli.py", "workloads/__pycache__/cli.cpython-312.pyc", "workloads/dags/nightly.py"):
        (tmp_path / added).parent.mkdir(exist_ok=True)
        (tmp_path / added).write_text("")
    return tmp_path


def tags(place):
    return {name: content_tag(place, f"images/{name}/Dockerfile") for name in IMAGES}


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        ("README.md", set()),
        ("pyproject.toml", set()),
        ("constraints.txt", set()),
        ("docs/architecture.md", set()),
        ("tests/test_cli.py", set()),
        ("images/lock.py", set()),
        ("images/training/requirements.in", set()),
        ("workloads/__pycache__/cli.cpython-312.pyc", set()),
        ("workloads/cli.py", {"training"}),
        ("workloads/configs/digits.yaml", {"training"}),
        ("images/training/requirements.lock", {"training"}),
        ("images/training/Dockerfile", {"training"}),
        ("images/mlflow/requirements.lock", {"mlflow"}),
        ("images/mlflow/accounts.py", {"mlflow"}),
        ("images/mlflow/Dockerfile", {"mlflow"}),
        ("images/airflow/Dockerfile", {"airflow"}),
        ("workloads/dags/nightly.py", {"airflow", "training"}),
    ],
)
def test_an_edit_changes_the_tags_of_the_images_that_hold_the_file(place, edited, changed):
    before = tags(place)
    with (place / edited).open("a") as file:
        file.write("\n# edited\n")
    after = tags(place)
    assert {name for name in IMAGES if after[name] != before[name]} == changed


@pytest.mark.parametrize("name", IMAGES)
def test_the_ignore_file_admits_what_the_dockerfile_copies_and_nothing_else(place, name):
    copied = {path.relative_to(place).as_posix() for path in copied_files(place, f"images/{name}/Dockerfile")}
    patterns = (place / "images" / name / "Dockerfile.dockerignore").read_text().splitlines()
    everything = [path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()]
    admitted = {path for path in everything if is_admitted(path, patterns)}
    assert copied
    assert admitted == copied


def is_admitted(path, patterns):
    """Whether the last pattern that matches the path, or a folder that it is in, takes it back from the ignored ones.

    Of Docker's patterns it knows those that are used here: `*`, a path, and a name at any depth.
    """
    admitted = True
    for pattern in patterns:
        if not pattern or pattern.startswith("#"):
            continue
        wanted = pattern.removeprefix("!")
        assert wanted == "*" or re.fullmatch(r"(\*\*/)?[\w./-]+", wanted), f"{pattern} is of a form unknown here"
        anywhere = wanted.removeprefix("**/")
        hit = wanted == "*" or f"/{path}/".startswith(f"/{wanted}/")
        if hit or (anywhere != wanted and anywhere in path.split("/")):
            admitted = pattern.startswith("!")
    return admitted


@pytest.mark.parametrize("name", IMAGES)
def test_no_image_takes_a_file_from_the_root(name):
    assert [
        path.name for path in copied_files(REPOSITORY, f"images/{name}/Dockerfile") if path.parent == REPOSITORY
    ] == []

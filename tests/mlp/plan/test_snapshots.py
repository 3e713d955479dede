"""The plans kept in the repository: that they are current, the same everywhere, and read with care."""

import json
import os
import shutil
import subprocess
import sys

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from infra.data.image import Image, ImageArgs
from mlp.engine.programs import PLATFORM
from mlp.plan import snapshots as snapshot
from mlp.plan.planned import program_plan, with_symbols
from mlp.shared.checkout import REPOSITORY
from mlp.shared.errors import PlatformError
from tests.builders import deploy, planned
from tests.mlp.review.changes.builders import BUCKET, VPC, plan_of, resource


@pytest.fixture(scope="module", params=PLATFORM.stacks())
def stack(request):
    return request.param


@pytest.fixture(scope="module")
def made(stack):
    return [program_plan(one) for one in planned(stack)]


def test_the_kept_plans_are_those_that_the_programs_make(stack, made):
    stale = [
        name
        for one in made
        for name in [snapshot.file_name(one.program, stack)]
        if not (REPOSITORY / name).exists() or (REPOSITORY / name).read_text() != snapshot.as_text(one)
    ]
    assert not stale, f"{', '.join(stale)} is stale; run: .venv/bin/mlp snapshot {stack}"


def test_a_plan_is_read_as_it_was_written(made, tmp_path):
    snapshot.write(made[0].stack, made, tmp_path)
    assert snapshot.read(made[0].stack, tmp_path) == made


def test_no_plan_is_kept_of_a_stack_that_is_not_there():
    kept = {path.name.split(".")[1] for path in (REPOSITORY / snapshot.FOLDER).glob("*.json")}
    assert kept == set(PLATFORM.stacks())


def test_writing_says_what_it_did_and_removes_what_is_no_more(tmp_path):
    platform, workloads = plan_of(resource(VPC, "vpc")), plan_of(program="workloads")
    names = ["stacks/plans/platform.prod.json", "stacks/plans/workloads.prod.json"]
    assert snapshot.write("prod", [platform, workloads], tmp_path) == dict.fromkeys(names, "written")
    assert snapshot.write("prod", [platform], tmp_path) == {names[0]: "is current", names[1]: "removed"}
    assert snapshot.read("prod", tmp_path) == [platform]
    assert snapshot.read("dev", tmp_path) == []


def image_and_job(folder, content):
    """A program that builds an image from `content`, and runs it in a Job that is named after its tag."""
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "main.py").write_text(content)
    (folder / "src" / "Dockerfile").write_text("FROM scratch\nCOPY src /src\n")

    def declare():
        args = ImageArgs(repository_url="registry/x", context=folder, dockerfile="src/Dockerfile")
        image = Image("tool", args)
        kubernetes.batch.v1.Job(
            "run",
            metadata={"name": f"run-{image.tag[:10]}", "namespace": "jobs"},
            spec={"template": {"spec": {"containers": [{"name": "run", "image": image.reference}]}}},
        )
        kubernetes.core.v1.ConfigMap("told", data={"tag": image.tag, "at": pulumi.Output.format("<{0}>", image.digest)})

    return with_symbols(program_plan(deploy(declare)))


def test_an_images_content_shows_nowhere_in_a_plan(tmp_path):
    one, two = image_and_job(tmp_path / "one", "a = 1"), image_and_job(tmp_path / "one" / "two", "a = 2")
    texts = [snapshot.as_text(plan).replace(str(tmp_path / "one" / "two"), "PLACE") for plan in (one, two)]
    assert texts[0].replace(str(tmp_path / "one"), "PLACE") == texts[1]
    [config] = one.of_type("kubernetes:core/v1:ConfigMap")
    assert config.inputs["data"] == {"tag": "<sources tool>", "at": "<<image tool>>"}
    [job] = one.of_type("kubernetes:batch/v1:Job")
    assert job.inputs["metadata"]["name"] == "run-<inputs>"


def test_the_name_of_a_job_with_an_image_of_others_stays(made):
    [names] = [[one.inputs["metadata"]["name"] for one in made[0].of_type("kubernetes:batch/v1:Job")]]
    if made[0].stack == "local":
        assert names == []
    else:
        assert len([name for name in names if name.endswith("-<inputs>")]) == len(names) - 1, "the database's alone"


@pytest.mark.slow
def test_plans_are_the_same_in_another_place_after_what_runs_in_the_images_was_edited(tmp_path):
    place = tmp_path / "elsewhere"
    for folder in ("infra", "mlp", "stacks", "workloads", "policies", "images", "docs"):
        shutil.copytree(REPOSITORY / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in REPOSITORY.iterdir():
        if path.is_file():
            shutil.copy(path, place / path.name)
    shutil.rmtree(place / "stacks" / "plans")
    for edited in (
        "workloads/environment.py",
        "images/airflow/Dockerfile",
        "images/mlflow/Dockerfile",
        "images/training/requirements.lock",
    ):
        with (place / edited).open("a") as file:
            file.write("\n# edited\n")
    subprocess.run(
        [sys.executable, "-m", "mlp.cli", "snapshot"],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(place), "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "HOME": str(tmp_path)},
        check=True,
    )
    kept, other = (
        {path.name: path.read_bytes() for path in (top / snapshot.FOLDER).iterdir()} for top in (REPOSITORY, place)
    )
    assert sorted(kept) == sorted(other)
    assert [name for name in kept if kept[name] != other[name]] == []


def damaged(change):
    data = json.loads(snapshot.as_text(plan_of(resource(VPC, "vpc"), resource(BUCKET, "data"))))
    change(data)
    return json.dumps(data).encode()


def test_a_plan_of_the_first_format_is_read_and_its_resources_have_the_usual_options():
    plan = plan_of(resource(VPC, "vpc", ignore_changes=("tags",)), resource(BUCKET, "data", protect=True))
    data = json.loads(snapshot.as_text(plan))
    data["format"] = 1
    for one in data["resources"]:
        one.pop("ignore_changes", None)
    read = snapshot.parse(json.dumps(data).encode(), "a plan", "platform", "prod")
    assert read == plan_of(resource(VPC, "vpc"), resource(BUCKET, "data", protect=True))


def parse(content):
    with pytest.raises(PlatformError) as raised:
        snapshot.parse(content, "stacks/plans/platform.prod.json", "platform", "prod")
    message = str(raised.value)
    assert message.startswith("stacks/plans/platform.prod.json")
    assert "`mlp snapshot prod` rewrites it" in message
    return message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is not a plan: Expecting value"),
        (b"<<<<<<< HEAD\n{", "is not a plan: Expecting value: line 1 column 1"),
        (b"\xff\xfe\x00", "is not a plan"),
        (b"[]", "the file: Input should be a valid dictionary"),
        (b"{}", "resources: Field required"),
        (damaged(lambda data: data.update(format=4)), "has format 4, and this version of mlp reads up to 3"),
        (damaged(lambda data: data.update(format="1")), 'format: Input should be 1, 2 or 3 (got "1")'),
        (damaged(lambda data: data.update(stack="dev")), "the plan of platform for dev, not of platform for prod"),
        (damaged(lambda data: data.update(extra=1)), "extra: Extra inputs are not permitted (got 1)"),
        (damaged(lambda data: data["resources"][0].pop("name")), "resources[0].name: Field required"),
        (damaged(lambda data: data["resources"][1].update(protect="no")), "resources[1].protect: Input should be"),
        (damaged(lambda data: data["resources"][0].update(urn="x")), "resources[0].urn: String should match pattern"),
        (damaged(lambda data: data["resources"].append(data["resources"][0])), "occurs more than once"),
        (b"[" * 100_000, "is not a plan"),
    ],
    ids=["empty", "conflict", "binary", "list", "nothing", "newer", "format", "stack", "extra", "missing", "type",
         "urn", "twice", "deep"],
)  # fmt: skip
def test_a_damaged_plan_is_refused_with_the_place_and_the_remedy(content, expected):
    assert expected in parse(content)


def test_all_faults_are_reported_at_once_up_to_ten():
    def change(data):
        data["outputs"] = 1
        data["resources"] += [{} for _ in range(5)]

    message = parse(damaged(change))
    assert "outputs: Input should be a valid dictionary (got 1)" in message
    assert len(message.splitlines()) == 12
    assert message.splitlines()[-1].endswith("more")

"""The plans of other revisions, in small repositories made for it."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from mlp.plan import revisions
from mlp.plan import snapshots as snapshot
from mlp.plan.codec import plan_data
from mlp.shared.errors import PlatformError
from tests.mlp.review.changes.builders import VPC, plan_of, resource

FIRST = plan_of(resource(VPC, "first"))
SECOND = plan_of(resource(VPC, "second"))


class Repository:
    """A git repository in a folder of its own, read by no configuration of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *arguments: str) -> str:
        nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        named = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        command = ["git", *named, *arguments]
        result = subprocess.run(
            command, cwd=self.folder, env=os.environ | nobody, capture_output=True, text=True, check=True
        )
        return result.stdout

    def commit(self, **files: str) -> None:
        """Commit files by their names without dots: `mlp__cli` is mlp/cli.py."""
        for name, text in files.items():
            path = self.folder / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


@pytest.fixture
def temporary(tmp_path_factory, monkeypatch):
    """Where temporary folders are made: it must be empty afterwards."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def keep(repository, *plans):
    snapshot.write("prod", plans, repository.folder)


def test_a_revision_that_keeps_its_plans_is_read_and_not_run(repository):
    keep(repository, FIRST, plan_of(program="workloads"))
    repository.commit(mlp__cli="raise SystemExit('must not run')")
    keep(repository, SECOND)
    repository.commit()
    assert revisions.plans_of("HEAD~1", "prod", repository.folder) == [FIRST, plan_of(program="workloads")]
    assert revisions.plans_of("main", "prod", repository.folder) == [SECOND]


def test_what_lies_in_the_folder_uncommitted_is_not_read(repository):
    keep(repository, FIRST)
    repository.commit()
    keep(repository, SECOND)
    assert revisions.plans_of("HEAD", "prod", repository.folder) == [FIRST]


PRINTS = """
import json, pathlib, sys
from {package} import helper
arguments = sys.argv[1:]
assert arguments[:3] == ["plan", "prod", "--json"], arguments
pathlib.Path(arguments[3]).write_text(json.dumps(helper.PLAN))
"""


def printed_by_itself(plan):
    printed = {"format": 1, "stack": "prod", "programs": {plan.program: plan_data(plan)}}
    return f"PLAN = {json.loads(json.dumps(printed))!r}"


@pytest.mark.parametrize("package", ["mlp", "stacks"], ids=["package of the command", "where it was before"])
def test_a_revision_without_kept_plans_runs_its_own_program(repository, temporary, package):
    program = PRINTS.replace("{package}", package)
    first, second = ({f"{package}__helper": printed_by_itself(plan)} for plan in (FIRST, SECOND))
    repository.commit(**{f"{package}__cli": program, f"{package}____init__": ""}, **first)
    repository.commit(**second)
    before = repository.git("status", "--porcelain", "--ignored"), repository.git("worktree", "list")
    assert revisions.plans_of("HEAD~1", "prod", repository.folder) == [FIRST]
    assert revisions.plans_of("HEAD", "prod", repository.folder) == [SECOND]
    assert (repository.git("status", "--porcelain", "--ignored"), repository.git("worktree", "list")) == before
    assert list(temporary.iterdir()) == []


def refusal(repository, revision):
    with pytest.raises(PlatformError) as raised:
        revisions.plans_of(revision, "prod", repository)
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    return message


def test_a_revision_whose_program_does_not_run_is_one_clear_line(repository, temporary):
    repository.commit(mlp__cli="import nothing_like_it", mlp____init__="")
    message = refusal(repository.folder, "main")
    assert message == (
        "main keeps no plan of prod, and its program does not run here: "
        "ModuleNotFoundError: No module named 'nothing_like_it'"
    )
    assert list(temporary.iterdir()) == []


def test_a_revision_that_prints_something_else_is_one_clear_line(repository, temporary):
    repository.commit(mlp__cli="import sys; open(sys.argv[4], 'w').write('hello')", mlp____init__="")
    assert refusal(repository.folder, "main").startswith("the program of main printed no plan: ")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("revision", ["nosuch", "HEAD~9", "--help", "", "main:README"])
def test_an_unknown_revision_is_one_clear_line(repository, revision):
    keep(repository, FIRST)
    repository.commit()
    assert refusal(repository.folder, revision).startswith(f"git knows no revision {revision!r}; give a branch")


def test_a_damaged_plan_of_a_revision_names_the_revision(repository):
    keep(repository, FIRST)
    (repository.folder / "stacks/plans/platform.prod.json").write_text("{")
    repository.commit()
    assert refusal(repository.folder, "main").startswith("main:stacks/plans/platform.prod.json is not a plan: ")


def test_a_folder_without_git_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "is none; leave out --against" in refusal(tmp_path, "main")


def test_a_machine_without_git_is_one_clear_line(repository, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal(repository.folder, "main").startswith("--against needs git, which is not installed")

"""GitHub's workflows: what they may do, what they run, and that all they name exists."""

import re
import shlex

import pytest
import typer
import yaml

from infra.naming import deploy_role_name
from mlp.account.operation import Bootstrapped
from mlp.account.options import BootstrapOptions
from mlp.account.plan import PREVIEW_ROLE, Account, Outcome, PulumiState
from mlp.account.report import github_variables
from mlp.cli import app
from mlp.engine.programs import PLATFORM, WORKLOADS
from mlp.shared.checkout import REPOSITORY

GITHUB = REPOSITORY / ".github"


def read(path):
    return yaml.load(path.read_text(), yaml.BaseLoader)  # noqa: S506  makes text of everything, so `on` stays a word


WORKFLOWS = {path.stem: read(path) for path in sorted(GITHUB.glob("workflows/*.yml"))}
ACTIONS = {path.parent.name: read(path) for path in sorted(GITHUB.glob("actions/*/action.yml"))}
JOBS = [(name, key, job) for name, workflow in WORKFLOWS.items() for key, job in workflow["jobs"].items()]
STEPS = [
    *((f"{name}.{key}", step) for name, key, job in JOBS for step in job.get("steps", [])),
    *((name, step) for name, action in ACTIONS.items() for step in action["runs"]["steps"]),
]
COMMANDS = [(where, step["run"]) for where, step in STEPS if "run" in step]
ON_A_CLUSTERS_RUNNER = "${{ vars.DEPLOY_RUNNER || 'ubuntu-24.04' }}"
READS = {"contents": "read"}
LOGS_IN = READS | {"id-token": "write"}
PERMISSIONS = {
    "preview-aws.preview": LOGS_IN,
    "preview-comment.comment": {"actions": "read", "pull-requests": "write"},
    "deploy.plan": READS,
    "deploy.dev": LOGS_IN,
    "deploy.prod": LOGS_IN,
    "deploy-environment.deploy": LOGS_IN,
    "drift.drift": LOGS_IN | {"issues": "write"},
}
"""Of the jobs that name their own; what the others have is to read the repository."""


def triggers(name):
    found = WORKFLOWS[name]["on"]
    return {found: {}} if isinstance(found, str) else found


def test_a_job_may_do_what_it_is_for_and_no_more():
    own = {f"{name}.{key}": job["permissions"] for name, key, job in JOBS if "permissions" in job}
    assert own == PERMISSIONS
    for name, workflow in WORKFLOWS.items():
        assert workflow["permissions"] in ({}, READS), name


def test_only_a_job_that_logs_in_may_ask_for_a_token_and_it_names_a_role_of_ours():
    logins = [(where, step["with"]) for where, step in STEPS if "configure-aws-credentials" in step.get("uses", "")]
    assert {where for where, _ in logins} == {"preview-aws.preview", "deploy-environment.deploy", "drift.drift"}
    for where, given in logins:
        role = "PREVIEW_ROLE_ARN" if where.startswith("preview") else "DEPLOY_ROLE_ARN"
        assert given["role-to-assume"] == f"${{{{ vars.{role} }}}}"
        assert not [key for key in given if "key" in key]


def test_no_workflow_has_a_stored_secret():
    assert "secrets." not in "".join(path.read_text() for path in GITHUB.rglob("*.yml"))


def test_no_strangers_code_runs_with_rights_or_on_a_machine_of_ours():
    for name in WORKFLOWS:
        assert "pull_request_target" not in triggers(name)
    [(where, reader)] = [(name, jobs) for name, jobs in WORKFLOWS.items() if "workflow_run" in triggers(name)]
    assert where == "preview-comment"
    assert not [step["uses"] for step in reader["jobs"]["comment"]["steps"] if "uses" in step], "it fetches no code"
    for name, key, job in JOBS:
        if "pull_request" in triggers(name) and (job["runs-on"] != "ubuntu-24.04" or "permissions" in job):
            assert (name, key) == ("preview-aws", "preview")
            assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]


@pytest.mark.parametrize(("where", "script"), COMMANDS, ids=[where for where, _ in COMMANDS])
def test_nothing_is_written_into_a_script_by_the_workflow(where, script):
    assert "${{" not in script, "hand it over by `env`"


def test_every_foreign_action_is_pinned_to_one_commit_and_says_its_version():
    pins: dict[str, set[tuple[str, str]]] = {}
    for path in GITHUB.rglob("*.yml"):
        for used in re.findall(r"uses: (\S+.*)", path.read_text()):
            if used.startswith("./"):
                assert (REPOSITORY / used).exists()
                continue
            found = re.fullmatch(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", used)
            assert found, f"{path.name}: {used}"
            pins.setdefault(found[1], set()).add((found[2], found[3]))
    assert set(pins) == {
        "actions/checkout",
        "actions/setup-python",
        "actions/upload-artifact",
        "aws-actions/configure-aws-credentials",
        "pulumi/actions",
    }
    assert not [action for action, versions in pins.items() if len(versions) > 1]


def test_no_checkout_leaves_its_token_behind():
    for where, step in STEPS:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false", where


def test_every_job_ends_some_time():
    for name, key, job in JOBS:
        assert "uses" in job or 0 < int(job["timeout-minutes"]) <= 120, f"{name}.{key}"


def test_a_deployment_is_never_cancelled_and_waits_for_the_one_before():
    [(_, _, job)] = [one for one in JOBS if one[0] == "deploy-environment"]
    assert job["concurrency"] == {"group": "deploy-${{ inputs.environment }}", "cancel-in-progress": "false"}
    assert job["environment"] == "${{ inputs.environment }}", "it is there that GitHub asks for approval"
    jobs = WORKFLOWS["deploy"]["jobs"]
    assert "concurrency" not in WORKFLOWS["deploy"]
    assert [(jobs[one]["needs"], jobs[one]["with"]["environment"]) for one in ("dev", "prod")] == [
        ("plan", "dev"),
        ("dev", "prod"),
    ]


def test_jobs_that_touch_a_cluster_run_where_it_can_be_reached():
    touching = {
        where.partition(".")[0]
        for where, script in COMMANDS
        if re.search(r"^ *pulumi (up|preview|refresh)", script, re.MULTILINE)
    }
    assert touching == {"preview-aws", "deploy-environment", "drift"}
    for name, _, job in JOBS:
        if name in touching:
            assert job["runs-on"] == ON_A_CLUSTERS_RUNNER


def test_the_environments_are_the_stacks_that_both_programs_have():
    stacks = sorted(set(PLATFORM.stacks()) & set(WORKLOADS.stacks()))
    assert WORKFLOWS["drift"]["jobs"]["drift"]["strategy"]["matrix"]["environment"] == stacks
    assert [one for one in WORKFLOWS["deploy"]["jobs"] if one != "plan"] == stacks
    loops = [tuple(found.split()) for _, script in COMMANDS for found in re.findall(r"for env in (.+?);", script)]
    assert {tuple(stacks)} == set(loops)


def test_every_image_is_built():
    images = sorted(path.parent.name for path in (REPOSITORY / "images").glob("*/Dockerfile"))
    assert WORKFLOWS["images"]["jobs"]["build"]["strategy"]["matrix"]["image"] == images


def test_the_variables_that_workflows_read_are_those_that_bootstrap_prints():
    account = Account(partition="aws", id="123456789012", region="us-east-1")
    names = (deploy_role_name("dev"), PREVIEW_ROLE)
    outcomes = tuple(Outcome(thing=f"role {name}", id=name, state="created") for name in names)
    state = PulumiState(bucket="state", region="us-east-1", secrets_key_arn=None)
    result = Bootstrapped(account=account, outcomes=outcomes, state=state, zone=None, dry_run=False)
    options = BootstrapOptions(repository="team/platform", environments=("dev",), region="us-east-1")
    printed = {name for variables in github_variables(options, result).values() for name in variables}
    read = set(re.findall(r"vars\.([A-Z_]+)", "".join(path.read_text() for path in GITHUB.rglob("*.yml"))))
    assert read - printed == {"GPU_RUNNER"}, "which is for people to set"
    assert printed <= read


def mlp_calls():
    for where, script in COMMANDS:
        for call in re.findall(r"\.venv/bin/mlp ([^|&;<>}\n]+?)(?: *2)?(?=$|[|&;<>}\n])", script):
            yield pytest.param(shlex.split(call), id=f"{where}: mlp {call}")


@pytest.mark.parametrize("words", list(mlp_calls()))
def test_every_command_and_option_of_mlp_exists(words):
    command = typer.main.get_command(app)
    while commands := getattr(command, "commands", None):
        name, *words = words
        assert name in commands, f"mlp has no command {name}"
        command = commands[name]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_every_target_of_make_and_every_path_of_the_tests_exists():
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = {one for line in re.findall(r"^([\w./ -]+):", makefile, re.MULTILINE) for one in line.split()}
    markers = re.findall(r'^    "(\w+): ', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
    for where, script in COMMANDS:
        for target in re.findall(r"\bmake ([\w./-]+)", script):
            assert target in targets, f"{where}: make {target}"
        for call in re.findall(r"\.venv/bin/pytest ([^\n&|;]+)", script):
            words = shlex.split(call)
            paths = [word for word in words if "/" in word]
            assert all((REPOSITORY / path).exists() for path in paths), f"{where}: {call}"
            assert all(words[at + 1] in markers for at, word in enumerate(words) if word == "-m"), f"{where}: {call}"
        for path in re.findall(r"^ *(\.ci/\S+)", script, re.MULTILINE):
            assert (REPOSITORY / path).exists(), f"{where}: {path}"

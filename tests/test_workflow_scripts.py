"""The scripts in GitHub's workflows, run with stand-ins for `mlp`, `pulumi` and `gh`."""

import json
import subprocess

import pytest

from tests.test_workflows import WORKFLOWS
from tests.workflow_runner import Runner, needs_jq


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


def test_the_preview_leaves_both_plans_and_the_number_of_the_pull_request(runner):
    runner.answer("mlp plan dev", written="dev: 3 created")
    runner.answer("mlp plan prod", written="prod: 1 replaced")
    assert runner.run("preview", "plan", "Plan", NUMBER="17") == 0
    assert runner.written("comment/number") == "17\n"
    body = runner.written("comment/body.md")
    assert body.index("## dev") < body.index("3 created") < body.index("## prod") < body.index("1 replaced")
    assert "Cut" not in body
    assert runner.summary.read_text() == body


def test_two_long_plans_fit_into_one_comment_and_stay_whole_beside_it(runner):
    for env in ("dev", "prod"):
        runner.answer(f"mlp plan {env}", written=f"{env}: everything\n" + "a line\n" * 9000)
    assert runner.run("preview", "plan", "Plan", NUMBER="17") == 0
    body = runner.written("comment/body.md")
    assert len(body) < 64000
    assert "dev: everything" in body
    assert "prod: everything" in body
    assert body.count("Cut here") == 2
    assert len(runner.written("comment/plan-prod.md")) > 60000


def test_a_plan_that_fails_says_why_in_the_comment_and_the_other_is_made(runner):
    runner.answer("mlp plan dev", code=1)
    runner.answer("mlp plan prod", written="prod: nothing changes")
    stand_in = runner.folder / ".venv/bin/mlp"
    stand_in.write_text(
        stand_in.read_text().replace("sys.exit(code)", "sys.stderr.write('mlp: 2 settings' * code); sys.exit(code)")
    )
    assert runner.run("preview", "plan", "Plan", NUMBER="17") == 1
    body = runner.written("comment/body.md")
    assert "mlp: 2 settings" in body
    assert "prod: nothing changes" in body
    assert "mlp: 2 settings" in runner.result.stderr


CHECKS = ["policy dev", "capacity dev", "policy prod", "capacity prod"]


@pytest.mark.parametrize("failing", [None, *CHECKS])
def test_a_broken_rule_or_a_pod_without_room_fails_the_preview_after_all_was_checked(runner, failing):
    for check in CHECKS:
        runner.answer(f"mlp {check}", code=3 if check == failing else 0)
    assert runner.run("preview", "plan", "Rules and room") == (3 if failing else 0)
    assert runner.calls("mlp") == CHECKS
    steps = WORKFLOWS["preview"]["jobs"]["plan"]["steps"]
    order = [one.get("name") or one.get("uses", "").partition("@")[0] for one in steps]
    assert order.index("actions/upload-artifact") < order.index("Rules and room"), "the comment comes all the same"


AWS = {"NUMBER": "17", "PULUMI_BACKEND_URL": "s3://state"}


def test_a_preview_of_the_account_takes_the_deploy_role_out_before_each_stack(runner):
    runner.answer("pulumi preview", said="+ create 3\n")
    assert runner.run("preview-aws", "preview", "Preview", **AWS) == 0
    calls = [
        call.split()[:1] + [word for word in call.split() if word in {"dev", "prod", ".", "stacks/workloads"}]
        for call in runner.calls("pulumi")
    ]
    stacks = [(env, folder) for env in ("dev", "prod") for folder in (".", "stacks/workloads")]
    assert calls == [[command, env, folder] for env, folder in stacks for command in ("config", "preview")]
    assert all("rm --path settings.deploy_role_arn" in call for call in runner.calls("pulumi")[::2])
    assert all(f"--policy-pack {runner.folder}/policies" in call for call in runner.calls("pulumi")[1::2])
    assert runner.written("comment/body.md").count("+ create 3") == 4


def test_a_stack_that_is_not_there_yet_is_said_and_is_no_failure(runner):
    runner.answer("pulumi config rm --path settings.deploy_role_arn --stack prod", said="no stack named 'prod'", code=6)
    assert runner.run("preview-aws", "preview", "Preview", **AWS) == 0
    body = runner.written("comment/body.md")
    assert "stacks/workloads of prod: no such stack yet" in body
    assert "stacks/workloads of dev: previewed" in body


def test_a_preview_that_fails_is_shown_fails_the_job_and_stops_no_other(runner):
    runner.answer(
        "pulumi preview --diff --stack dev --cwd .",
        said="policy violated\n" + "x" * 90000 + "\nerror: the end",
        code=255,
    )
    assert runner.run("preview-aws", "preview", "Preview", **AWS) == 1
    body = runner.written("comment/body.md")
    assert ". of dev: failed" in body
    assert "error: the end" in body
    assert body.count("previewed") == 3
    assert len(body) < 60000


def test_platform_and_workloads_are_deployed_in_order_and_shown(runner):
    runner.answer("pulumi up", said="updated\n")
    assert runner.run("deploy-environment", "deploy", "Deploy", ENVIRONMENT="prod", PULUMI_BACKEND_URL="s3://s") == 0
    folders = [call.split("--cwd ")[1].split()[0] for call in runner.calls("pulumi")]
    assert folders == [".", "stacks/workloads"]
    assert all("--stack prod" in call and "--policy-pack" in call for call in runner.calls("pulumi"))
    assert runner.summary.read_text().count("updated") == 2


def test_workloads_are_not_deployed_on_a_platform_that_failed(runner):
    runner.answer("pulumi up", said="error: no quota\n", code=4)
    assert runner.run("deploy-environment", "deploy", "Deploy", ENVIRONMENT="dev", PULUMI_BACKEND_URL="s3://s") == 4
    assert len(runner.calls("pulumi")) == 1
    assert "error: no quota" in runner.summary.read_text()


def test_a_deployment_by_hand_is_compared_with_the_commit_before(runner):
    for arguments in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", *arguments], cwd=runner.folder, check=True)
    runner.answer("mlp plan", written="changes")
    assert runner.run("deploy", "plan", "Plan and policy", BEFORE="") == 0
    assert "plan dev --against HEAD^1 --markdown plan.md" in runner.calls("mlp")
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=runner.folder, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert runner.run("deploy", "plan", "Plan and policy", BEFORE=head) == 0
    assert f"plan prod --against {head} --markdown plan.md" in runner.calls("mlp")
    assert "## prod\n\nchanges" in runner.summary.read_text()


def test_a_broken_rule_stops_a_deployment_before_it_begins(runner):
    runner.answer("mlp plan", written="changes")
    runner.answer("mlp policy", code=3)
    assert runner.run("deploy", "plan", "Plan and policy", BEFORE="") == 3


def drift(runner, *, refreshed=0, found="[]"):
    runner.answer("pulumi refresh", said="~ aws:s3 tags\n", code=refreshed)
    runner.answer("gh issue list", said=found)
    status = runner.run("drift", "drift", "Look for drift", ENVIRONMENT="dev", PULUMI_BACKEND_URL="s3://s")
    if status:
        return status
    shown = {"ENVIRONMENT": "dev", "GH_REPO": "team/platform", "GH_TOKEN": "t", "RUN_URL": "https://run"}
    return runner.run("drift", "drift", "Open, update or close the issue", **shown)


DIFF = """\
  pulumi:pulumi:Stack: (same)
    + aws:sns/topic:Topic: (create)
        [urn=topic]
      + name: "budget"
    ~ aws:s3/bucket:Bucket: (update)
      - tags: "x"
    +-aws:ec2/vpc:Vpc: (replace)
"""
COLOURED = """\
  pulumi:pulumi:Stack: (same)
+   + aws:sns/topic:Topic: (create)
        [urn=topic]
+     + name: "budget"
!   ~ aws:s3/bucket:Bucket: (update)
-     - tags: "x"
!   +-aws:ec2/vpc:Vpc: (replace)
"""


def test_every_diff_of_pulumi_has_its_signs_where_github_looks_for_them(runner):
    for command, code in (("preview", 0), ("up", 0), ("refresh", 7)):
        runner.answer(f"pulumi {command}", said=DIFF, code=code)
    assert runner.run("preview-aws", "preview", "Preview", **AWS) == 0
    assert runner.written("comment/body.md").count(f"```diff\n{COLOURED}") == 4
    assert runner.run("deploy-environment", "deploy", "Deploy", ENVIRONMENT="dev", PULUMI_BACKEND_URL="s3://s") == 0
    assert runner.summary.read_text().count(f"```diff\n{COLOURED}") == 6
    assert runner.run("drift", "drift", "Look for drift", ENVIRONMENT="dev", PULUMI_BACKEND_URL="s3://s") == 0
    assert runner.written("drift.md").count(f"```diff\n{COLOURED}") == 2


OTHERS = [{"number": 4, "title": "Drift in prod"}, {"number": 5, "title": "Drift in dev"}]


@needs_jq
def test_drift_opens_one_issue_with_the_label_and_what_drifted(runner):
    assert drift(runner, refreshed=7, found=json.dumps(OTHERS[:1])) == 0
    assert runner.calls("gh")[-1].startswith("issue create --title Drift in dev --label drift")
    [text] = runner.texts()
    assert text.count("~ aws:s3 tags") == 2
    assert "https://run" in text
    assert all("--preview-only --diff --expect-no-changes" in call for call in runner.calls("pulumi"))


@needs_jq
def test_drift_that_is_known_is_written_over_its_issue(runner):
    assert drift(runner, refreshed=7, found=json.dumps(OTHERS)) == 0
    assert runner.calls("gh")[-1].startswith("issue edit 5 ")


@needs_jq
@pytest.mark.parametrize(("found", "last"), [([], "issue list"), (OTHERS, "issue close 5")])
def test_without_drift_an_open_issue_is_closed(runner, found, last):
    assert drift(runner, found=json.dumps(found)) == 0
    assert runner.calls("gh")[-1].startswith(last)


def test_a_refresh_that_fails_is_no_drift(runner):
    assert drift(runner, refreshed=1) == 1
    assert runner.calls("gh") == []

"""The script that posts what a preview left: it may comment, and what it reads is not to be trusted."""

import json
import zipfile

import pytest

from tests.workflow_runner import Runner, needs_jq

HEAD = "a" * 40


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


class Comment:
    """A run of preview-comment.yml on what a preview left."""

    def __init__(self, runner):
        self.runner = runner
        self.files = {"number": "17\n", "body.md": "3 created\n"}
        self.pull = {"state": "open", "head": {"sha": HEAD}}
        self.comments = []
        self.size = 1000

    def run(self, workflow="preview"):
        with zipfile.ZipFile(self.runner.folder / "artifact.zip", "w") as artifact:
            for name, content in self.files.items():
                artifact.writestr(name, content)
        artifacts = [{"id": 9, "size_in_bytes": self.size, "expired": False}] if self.files else []
        top = "gh api repos/team/platform"
        self.runner.answer(f"{top}/actions/runs/8/artifacts", said=json.dumps({"artifacts": artifacts}))
        self.runner.answer(f"{top}/actions/artifacts/9/zip", said=(self.runner.folder / "artifact.zip").read_bytes())
        self.runner.answer(f"{top}/pulls/17", said=json.dumps(self.pull))
        self.runner.answer("gh api --paginate", said=json.dumps(self.comments[:1]) + json.dumps(self.comments[1:]))
        return self.runner.run(
            "preview-comment", "comment", "Comment", GH_TOKEN="t", RUN="8", HEAD=HEAD, WORKFLOW=workflow
        )

    @property
    def posted(self):
        """The calls that write, and what they write."""
        calls = [call for call in self.runner.calls("gh") if "--method" in call]
        return list(zip(calls, [json.loads(text)["body"] for text in self.runner.texts()], strict=True))


@pytest.fixture
def comment(runner):
    return Comment(runner)


def by(login, body, number):
    return {"id": number, "user": {"login": login}, "body": body}


@needs_jq
def test_the_first_preview_makes_a_comment(comment):
    comment.comments = [
        by("ada", "<!-- ml-platform preview -->\nmine", 1),
        by("github-actions[bot]", "tests passed", 2),
    ]
    assert comment.run() == 0
    [(call, body)] = comment.posted
    assert call.startswith("api --method POST repos/team/platform/issues/17/comments")
    assert body.startswith("<!-- ml-platform preview -->\n")
    assert "3 created" in body
    assert HEAD in body


@needs_jq
@pytest.mark.parametrize(("workflow", "number"), [("preview", 3), ("preview-aws", 4)])
def test_later_previews_write_over_their_own_comment(comment, workflow, number):
    comment.comments = [by("ada", "hello", 1)] + [
        by("github-actions[bot]", f"<!-- ml-platform {one} -->\nold", at)
        for at, one in ((3, "preview"), (4, "preview-aws"))
    ]
    assert comment.run(workflow) == 0
    [(call, _)] = comment.posted
    assert call.startswith(f"api --method PATCH repos/team/platform/issues/comments/{number}")


@needs_jq
@pytest.mark.parametrize("number", ["", "x", "17; gh api", "../17", "17\n18", "$(touch made)", "0", "9" * 30])
def test_an_artifact_that_names_no_pull_request_is_refused(comment, number):
    comment.files["number"] = number
    assert comment.run() == 1
    assert comment.posted == []
    assert "names no pull request" in comment.runner.result.stdout
    assert not (comment.runner.folder / "made").exists()


@needs_jq
@pytest.mark.parametrize(
    "pull", [{"state": "open", "head": {"sha": "b" * 40}}, {"state": "closed", "head": {"sha": HEAD}}]
)
def test_nothing_is_posted_on_a_pull_request_that_the_run_is_not_of(comment, pull):
    comment.pull = pull
    assert comment.run() == 0
    assert comment.posted == []


@needs_jq
def test_a_run_that_left_nothing_posts_nothing(comment):
    comment.files = {}
    assert comment.run() == 0
    assert comment.posted == []


@needs_jq
def test_an_artifact_that_is_too_large_is_not_fetched(comment):
    comment.size = 6_000_000
    assert comment.run() == 1
    assert not [call for call in comment.runner.calls("gh") if "zip" in call]


@needs_jq
def test_what_the_artifact_holds_is_text_and_never_a_command(comment):
    comment.files["body.md"] = "$(touch made) `touch made` '; touch made; ' \\\n"
    assert comment.run() == 0
    assert comment.files["body.md"] in comment.posted[0][1]
    assert not (comment.runner.folder / "made").exists()


@needs_jq
def test_nobody_is_mentioned_and_an_image_stays_readable(comment):
    comment.files["body.md"] = "@ada and (@team/all), mlflow@sha256:12, a@b.example"
    assert comment.run() == 0
    [(_, body)] = comment.posted
    assert "@ada" not in body
    assert "@team" not in body
    assert "mlflow@sha256:12, a@b.example" in body


@needs_jq
def test_a_body_is_cut_to_what_github_takes_and_stays_utf8(comment):
    comment.files["body.md"] = "€" * 100_000
    assert comment.run() == 0
    [(_, body)] = comment.posted
    assert len(body.encode()) < 65_536
    assert body.rstrip().endswith("€")

"""`mlp plan` and `mlp snapshot`, as people run them."""

import json

from tests.command import run_mlp


def test_a_plan_is_written_as_data_and_as_markdown_at_once(tmp_path):
    files = {name: tmp_path / name for name in ("plan.json", "plan.md")}
    result = run_mlp("plan", "local", "--json", str(files["plan.json"]), "--markdown", str(files["plan.md"]))
    assert (result.returncode, result.stdout) == (0, "")
    data = json.loads(files["plan.json"].read_text())
    parts = {"changes", "dangers", "cost", "policy", "capacity", "timeline"}
    assert set(data) == {"format", "stack", "programs"} | parts
    assert data["changes"]["against"] == "the committed plan"
    assert (
        files["plan.md"]
        .read_text()
        .startswith(f"**Plan of local against the committed plan**: {data['changes']['summary']}\n")
    )


def test_an_unknown_revision_is_told_before_anything_is_planned():
    result = run_mlp("plan", "prod", "--against", "nosuch")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("mlp: git knows no revision 'nosuch'")
    assert len(result.stderr.splitlines()) == 1


def test_a_snapshot_of_an_unknown_stack_is_one_clear_line():
    result = run_mlp("snapshot", "staging")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("mlp: stack 'staging' of platform has no file Pulumi.staging.yaml")

import json
import subprocess
import sys

import pytest


def mlp(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "stacks.cli", *arguments], capture_output=True, text=True, check=False, cwd=cwd
    )


def test_a_plan_is_the_same_as_data_and_as_a_tree():
    as_data = json.loads(mlp("plan", "dev", "--json", "-").stdout)
    names = {one["name"] for program in as_data["programs"].values() for one in program["resources"]}
    tree = mlp("plan", "dev").stdout
    assert names
    assert not [name for name in names if name not in tree]


def test_a_plan_is_written_to_a_file_whole_or_not_at_all(tmp_path):
    assert mlp("plan", "local", "--json", str(tmp_path / "plan.json")).returncode == 0
    assert json.loads((tmp_path / "plan.json").read_text())["stack"] == "local"
    result = mlp("plan", "local", "--json", str(tmp_path / "nowhere" / "plan.json"))
    assert result.returncode == 1
    assert "No such file or directory" in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.slow
def test_the_same_plan_comes_out_twice():
    assert mlp("plan", "prod", "--json", "-").stdout == mlp("plan", "prod", "--json", "-").stdout


def test_the_committed_stacks_hold_the_policies():
    result = mlp("policy", "prod", "--as-of", "2026-11-21")
    assert result.returncode == 0
    assert "0 violations" in result.stdout


@pytest.mark.parametrize("command", ["plan", "policy"])
def test_an_unknown_stack_is_one_clear_line(command):
    result = mlp(command, "staging")
    assert result.returncode == 1
    assert result.stderr == (
        "mlp: stack 'staging' of platform has no file Pulumi.staging.yaml; the stacks are dev, local, prod\n"
    )

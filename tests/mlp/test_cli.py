import pytest
from rich.console import Console

from mlp.cli import app
from mlp.plan import planning
from tests.builders import planned
from tests.command import run_mlp
from tests.command_help import faults, first_lines


def test_a_plan_is_the_same_as_data_and_as_a_tree():
    as_data = planning.as_data(planned("dev"))
    names = {one["name"] for program in as_data["programs"].values() for one in program["resources"]}
    console = Console(width=200)
    with console.capture() as captured:
        console.print(planning.rendered(planned("dev")))
    tree = captured.get()
    assert names
    assert not [name for name in names if name not in tree]


def test_a_plan_that_cannot_be_written_is_one_line(tmp_path):
    result = run_mlp("plan", "local", "--json", str(tmp_path / "nowhere" / "plan.json"))
    assert result.returncode == 1
    assert "No such file or directory" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_same_plan_comes_out_twice():
    assert run_mlp("plan", "prod", "--json", "-").stdout == run_mlp("plan", "prod", "--json", "-").stdout


@pytest.mark.parametrize("command", ["plan", "policy"])
def test_an_unknown_stack_is_one_clear_line(command):
    result = run_mlp(command, "staging")
    assert result.returncode == 1
    assert result.stderr == (
        "mlp: stack 'staging' of platform has no file Pulumi.staging.yaml; the stacks are dev, local, prod\n"
    )


def test_the_first_line_of_every_help_is_a_short_sentence():
    lines = first_lines(app)
    assert {"plan", "up", "charts", "charts pull"} <= set(lines)
    assert faults(lines) == []

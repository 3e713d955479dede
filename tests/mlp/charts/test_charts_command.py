"""The commands as people run them."""

import os

import pytest

from infra.facts.charts import Chart
from mlp.charts import pull
from mlp.charts.pull import pins
from tests.command import run_mlp
from tests.mlp.charts.builders import TINY, chart_files, helm, index, packed, serving, stored


def mlp(*arguments, repository="-", **variables):
    kept = {name: value for name, value in os.environ.items() if name not in ("ML_PLATFORM_CHARTS", "MLP_HOME")}
    with pytest.MonkeyPatch.context() as pinned:
        if repository != "-":
            pinned.setattr(pull, "pins", lambda: [Chart(name="tiny", version="1.2.3", repository=repository)])
        return run_mlp("charts", *arguments, environ={**kept, "NO_PROXY": "127.0.0.1", **variables})


def test_charts_are_pulled_into_the_home_that_mlp_up_takes_over(tmp_path):
    with serving() as server:
        server.hold((TINY, packed(chart_files())))
        result = mlp("pull", repository=server.address, MLP_HOME=str(tmp_path))
    assert (result.returncode, result.stdout) == (0, f"1 chart in {tmp_path}/charts\n")
    assert "tiny 1.2.3: pulled" in result.stderr
    assert (tmp_path / "charts" / "tiny" / "values.yaml").is_file()
    assert (tmp_path / "lock").exists()  # without it `mlp up` takes the folder for somebody else's


def test_charts_are_pulled_into_the_folder_that_is_named(tmp_path):
    with serving() as server:
        server.hold((TINY, packed(chart_files())))
        result = mlp("pull", "tiny", repository=server.address, ML_PLATFORM_CHARTS=str(tmp_path / "there"))
    assert result.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_what_cannot_be_pulled_is_one_clear_message(tmp_path):
    with serving() as server:
        server.files["/index.yaml"] = index()
        result = mlp("pull", repository=server.address, ML_PLATFORM_CHARTS=str(tmp_path))
    assert (result.returncode, result.stdout) == (1, "")
    assert "mlp: 1 chart could not be pulled" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_chart_that_is_not_pinned_is_not_pulled():
    result = mlp("pull", "toni")
    assert result.returncode == 1
    assert "toni: no chart of that name is pinned" in result.stderr


@pytest.mark.parametrize(
    "arguments", [("check",), pytest.param(("render", "mlflow"), marks=pytest.mark.slow)], ids=" ".join
)
def test_without_chart_data_the_checks_say_how_to_get_it(tmp_path, arguments):
    result = mlp(*arguments, MLP_HOME=str(tmp_path))
    assert (result.returncode, result.stdout) == (1, "")
    assert "mlp charts pull" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def outdated(tmp_path):
    """A store with other data of the charts than the plan's own."""
    for pin in pins():
        old = type(pin)(name=pin.name, version="0.0.1", repository=pin.repository)
        stored(tmp_path, old)
    return tmp_path


def test_a_fault_ends_in_exit_code_3_and_a_line(outdated):
    result = mlp("check", "--env", "prod", ML_PLATFORM_CHARTS=str(outdated))
    assert result.returncode == 3
    assert "prod: release mlflow: the data are of mlflow 0.0.1, and " in result.stdout
    assert " faults, " in result.stdout.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_a_release_is_rendered_to_stdout(tmp_path):
    [pin] = [one for one in pins() if one.name == "mlflow"]
    stored(tmp_path / "charts", pin, chart_files(pin))
    folder = helm(tmp_path).parent
    result = mlp("render", "mlflow", "--env", "dev", ML_PLATFORM_CHARTS=str(tmp_path / "charts"), PATH=str(folder))
    assert result.returncode == 0
    assert "kind: ConfigMap" in result.stdout
    assert "Traceback" not in result.stderr


def test_an_unknown_stack_is_one_clear_line(outdated):
    result = mlp("check", "--env", "staging", ML_PLATFORM_CHARTS=str(outdated))
    assert result.returncode == 1
    assert "stack 'staging' of platform has no file" in result.stderr

import json
import os
import subprocess
import sys

import pytest

from tests.command import run_mlp


def mlp(home, *arguments, **variables):
    return run_mlp(*arguments, environ={**os.environ, "MLP_HOME": str(home), **variables})


def refused(result):
    """The one message of a command that ended as a fault that the user can fix."""
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("mlp: ")
    assert "Traceback" not in result.stderr
    return result.stderr


def test_before_the_first_start_everything_is_stopped(tmp_path):
    result = mlp(tmp_path / "home", "status", "--json")
    told = json.loads(result.stdout)
    assert {one["service"]: one["state"] for one in told["services"]} == dict.fromkeys(
        ("postgres", "mlflow", "ray"), "stopped"
    )
    assert told["home"] == str(tmp_path / "home")
    assert mlp(tmp_path / "home", "status").stdout.splitlines()[0].split() == ["service", "state", "url", "pid"]
    assert mlp(tmp_path / "home", "down").stdout == "nothing runs\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["env"], "does not run (postgres, mlflow, ray missing); run `mlp up`"),
        (["logs", "nosuch"], "no service 'nosuch'; choose from emulator, postgres, mlflow, ray"),
        (["logs", "mlflow"], "no log at"),
        (["up", "--with", "gcp"], "--with gcp: there is no such extra; choose from aws"),
        (["up", "--port", "mlflow=1"], "'1' is not a port"),
        (
            ["up", "--port", "shop=2000"],
            "no service 'shop'; choose from emulator, postgres, mlflow, ray, ray-dashboard",
        ),
    ],
    ids=" ".join,
)
def test_what_the_user_can_mend_is_one_message(tmp_path, arguments, said):
    assert said in refused(mlp(tmp_path / "home", *arguments))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_home_is_named(tmp_path):
    (tmp_path / "home").touch()
    assert "is a file" in refused(mlp(tmp_path / "home", "up"))
    assert mlp(tmp_path / "home", "down").stdout == "nothing runs\n"
    assert mlp(tmp_path / "home", "status").returncode == 0


def test_the_state_of_a_newer_mlp_is_refused_by_all(home):
    home.state_file.write_text('{"format": 99}')
    for command in ("up", "down", "status", "env"):
        assert "format 99" in refused(mlp(home.path, command))


def test_the_last_lines_of_a_log_are_shown(home):
    home.log("ray").write_text("one\ntwo\nthree\n")
    assert mlp(home.path, "logs", "ray", "--lines", "2").stdout == "two\nthree\n"


def test_a_log_is_followed(home):
    home.log("ray").write_text("one\n")
    command = [sys.executable, "-m", "mlp.cli", "logs", "ray", "--follow"]
    environment = {**os.environ, "MLP_HOME": str(home.path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "one\n"
        with home.log("ray").open("a") as file:
            file.write("two\n")
        assert following.stdout.readline() == "two\n"
        following.terminate()

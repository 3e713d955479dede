from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.command_help import faults, first_lines
from workloads.cli import app
from workloads.config import read_config
from workloads.environment import PlatformEnvironment
from workloads.errors import WorkloadError
from workloads.tracking.connection import LOGIN_STEP


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_help_loads_no_library_that_takes_its_time() -> None:
    program = """
import sys
from workloads.cli import main
sys.argv = ["workloads", "--help"]
try:
    main()
finally:
    print(sorted({"torch", "ray", "mlflow", "sklearn", "numpy", "pydantic"} & set(sys.modules)))
"""
    done = run("-c", program)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["train", "fashion"], id="unknown config"),
        pytest.param(["data", "find", "cifar"], id="unknown data set"),
        pytest.param(["registry", "promote", "m", "1", "--to", "champion"], id="unknown alias"),
    ],
)
def test_a_fault_of_the_users_is_one_line_and_exit_code_1(arguments: list[str]) -> None:
    done = run("-m", "workloads", *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("workloads: ")


def test_a_file_with_faults_is_one_message_with_all_of_them_and_exit_code_1(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("epochs: [1]\noptim: {lr: .nan, lrr: {x: 1}}\n1: 2\n")
    done = run("-m", "workloads", "validate", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"workloads: Config {path} cannot be used until 4 keys are corrected:\n"
        "  epochs: must be a whole number at least 1 and at most 2147483647 (got [1])\n"
        "  optim.lr: must be a number above 0 (got nan)\n"
        "  optim.lrr: no such key; did you mean optim.lr? (got {'x': 1})\n"
        "  1: keys must be text (got 1)\n"
    )


def test_to_go_on_with_a_run_where_no_place_for_runs_is_named_is_one_line(environment: PlatformEnvironment) -> None:
    done = run("-m", "workloads", "train", "--resume", "a")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "workloads: MLP_CHECKPOINTS is not set, so no run can be resumed; set it to the folder or s3:// prefix that "
        f"holds the runs, or {LOGIN_STEP}\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ranks", "0"], "ranks is 0; it must be at least 1 and at most global_batch_size, 64"),
        (["--ranks", "65"], "ranks is 65; it must be at least 1"),
        (["--launcher", "local", "--ranks", "2"], "--launcher local trains in one process; --ranks is 2"),
        (["--launcher", "mpi"], "--launcher is mpi; it must be one of local, torchrun, ray"),
        (["--launcher", "local", "--max-restarts", "1"], "--launcher local restarts nothing"),
        (["--max-steps", "0"], "max_steps: must be a whole number at least 1"),
    ],
)
def test_a_run_that_could_not_go_well_is_refused_before_it_starts(arguments: list[str], message: str) -> None:
    with pytest.raises(WorkloadError) as raised:
        CliRunner().invoke(app, ["train", "digits", "--no-tracking", *arguments], catch_exceptions=False)
    assert message in str(raised.value)


def test_the_printed_config_is_the_one_that_the_run_would_have() -> None:
    done = CliRunner().invoke(app, ["train", "digits", "--print-config", "--max-steps", "3", "--set", "optim.lr=1e-2"])
    import yaml

    config = read_config(yaml.safe_load(done.stdout), {}, source="printed")
    assert (config.name, config.max_steps, config.optim.lr) == ("digits", 3, 0.01)


def test_a_run_without_tracking_ends_with_its_accuracy(environment: PlatformEnvironment) -> None:
    arguments = ["train", "minitest", "--no-tracking", "--set", "num_threads=1"]
    tested = CliRunner().invoke(app, arguments, catch_exceptions=False)
    untested = CliRunner().invoke(app, [*arguments, "--no-test"], catch_exceptions=False)
    assert tested.stdout.startswith("test accuracy 0.")
    assert untested.stdout.startswith("val accuracy 0.")
    assert tested.stderr.startswith("epoch  1/1  train/loss ")


def test_tracking_without_a_server_is_refused_before_it_starts(
    environment: PlatformEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(WorkloadError, match=r"MLFLOW_TRACKING_URI is not set.*mlp env.*--no-tracking"):
        CliRunner().invoke(app, ["train", "digits"], catch_exceptions=False)


def test_data_find_prints_the_folder() -> None:
    assert CliRunner().invoke(app, ["data", "find", "digits"]).stdout.strip().endswith("data")


def test_the_first_line_of_every_help_is_a_short_sentence() -> None:
    lines = first_lines(app) | {"workloads": str(app.info.help).split("\n")[0]}
    assert {"train", "registry", "registry promote"} <= set(lines)
    assert faults(lines) == []

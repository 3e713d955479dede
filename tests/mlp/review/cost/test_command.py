import json
import os

import pytest
from typer.testing import CliRunner

from mlp.cli import app
from mlp.plan import planning as plan
from mlp.review.cost import prices
from mlp.shared.errors import PlatformError
from tests.builders import planned
from tests.command import run_mlp

NO_LOGIN = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@pytest.fixture
def mlp(monkeypatch):
    """`mlp` in this process, with the plans that tests share."""
    monkeypatch.setattr(plan, "plan", planned)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_the_bill_is_shown_and_written_as_json(mlp, tmp_path):
    shown = mlp("cost", "dev")
    assert shown.exit_code == 0
    data = json.loads(mlp("cost", "dev", "--json", "-").stdout)
    assert f"{data['idle_usd_per_month']:.2f}" in shown.stdout
    assert mlp("cost", "dev", "--json", str(tmp_path / "bill.json")).exit_code == 0
    assert json.loads((tmp_path / "bill.json").read_text()) == data


def test_an_assumption_changes_the_bill_and_is_shown(mlp):
    usual, more = (
        json.loads(mlp("cost", "dev", "--json", "-", *given).stdout) for given in ([], ["--assume", "nat_gb=1000"])
    )
    assert more["assumptions"]["nat_gb"] == 1000
    assert more["idle_usd_per_month"] > usual["idle_usd_per_month"]


def test_the_laptops_stack_costs_nothing(mlp):
    assert mlp("cost", "local").stdout == "local: runs on an AWS emulator of this machine and costs nothing\n"


@pytest.mark.parametrize(
    ("given", "expected"),
    [(["dev", "--assume", "nat=1"], "nat is not assumed; what is: nat_gb"), ([], "name the stack to price")],
)
def test_a_wrong_call_is_one_clear_message(mlp, given, expected):
    result = mlp("cost", *given)
    assert isinstance(result.exception, PlatformError)
    assert expected in str(result.exception)


def test_a_refresh_without_a_login_is_one_clear_line_and_leaves_the_table_alone():
    before = prices.FILE.read_bytes()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | NO_LOGIN
    result = run_mlp("cost", "--refresh", environ=environment)
    assert result.returncode == 1
    assert result.stderr.startswith("mlp: the prices stay as they were: no AWS credentials were found")
    assert result.stderr.count("\n") == 1
    assert prices.FILE.read_bytes() == before

"""Every alert fires when it should and is quiet when it should, as `promtool` sees it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from infra.services.metrics import ALERTS, alerts, dashboards
from tests.infra.services.promql import queries_of

HERE = Path(__file__).resolve().parent
CASES = sorted(HERE.glob("*.test.yaml"))


@pytest.fixture(scope="session")
def promtool():
    found = shutil.which("promtool")
    if not found:
        pytest.fail("promtool is missing: apt-get install --yes --no-install-recommends prometheus", pytrace=False)
    return found


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def alert_cases():
    """(alert, whether it must fire, labels) of every assertion in the case files."""
    for path in CASES:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for case in test.get("alert_rule_test", ()):
                yield case["alertname"], [alert["exp_labels"] for alert in case["exp_alerts"]]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_alerts_fire_and_stay_quiet_as_their_cases_say(promtool, path):
    run(promtool, "test", "rules", str(path))


@pytest.mark.parametrize("path", sorted(ALERTS.glob("*.yaml")), ids=lambda path: path.name)
def test_rules_are_well_formed_and_have_cases(promtool, path):
    run(promtool, "check", "rules", str(path))
    assert HERE / f"{path.stem}.test.yaml" in CASES


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_quiet():
    cases = list(alert_cases())
    fires = {(name, labels["severity"]) for name, expected in cases for labels in expected}
    quiet = {name for name, expected in cases if not expected}
    assert {(rule["alert"], rule["labels"]["severity"]) for rule in alerts()} == fires
    assert {rule["alert"] for rule in alerts()} == quiet


def test_every_query_of_a_dashboard_is_one_that_prometheus_understands(promtool, tmp_path):
    rules = [
        {"record": f"query:{number}", "expr": expr}
        for number, (_, expr) in enumerate(
            (panel, expr) for dashboard in dashboards().values() for panel, expr in queries_of(dashboard)
        )
    ]
    assert len(rules) > 50
    file = tmp_path / "queries.yaml"
    file.write_text(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}).replace("$__rate_interval", "5m"))
    run(promtool, "check", "rules", "--lint=none", str(file))

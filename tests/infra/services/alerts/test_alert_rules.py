"""Every alert fires when it should and is quiet when it should, as `promtool` sees it."""

from pathlib import Path

import pytest
import yaml

from infra.services.metrics import ALERTS, alerts
from tests.infra.services.promql import run_promtool

HERE = Path(__file__).resolve().parent
CASES = sorted(HERE.glob("*.test.yaml"))


def alert_cases():
    """(alert, whether it must fire, labels) of every assertion in the case files."""
    for path in CASES:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for case in test.get("alert_rule_test", ()):
                yield case["alertname"], [alert["exp_labels"] for alert in case["exp_alerts"]]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_alerts_fire_and_stay_quiet_as_their_cases_say(path):
    run_promtool("test", "rules", str(path))


@pytest.mark.parametrize("path", sorted(ALERTS.glob("*.yaml")), ids=lambda path: path.name)
def test_rules_are_well_formed_and_have_cases(path):
    run_promtool("check", "rules", str(path))
    assert HERE / f"{path.stem}.test.yaml" in CASES


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_quiet():
    cases = list(alert_cases())
    fires = {(name, labels["severity"]) for name, expected in cases for labels in expected}
    quiet = {name for name, expected in cases if not expected}
    assert {(rule["alert"], rule["labels"]["severity"]) for rule in alerts()} == fires
    assert {rule["alert"] for rule in alerts()} == quiet

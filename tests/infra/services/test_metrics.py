"""Alerts and dashboards rest on metrics that exist, and every alert leads to what to do."""

import re
from pathlib import Path

import pytest

from infra.services.metrics import EXPORTED_METRICS, TRAINING_METRICS, alert_files, alerts, dashboards
from infra.settings.settings import PlatformSettings
from tests.infra.services.promql import metrics_of, queries_of

REPOSITORY = Path(__file__).resolve().parents[3]


def emitted():
    return frozenset().union(*EXPORTED_METRICS.values())


def rule_queries():
    for file in alert_files().values():
        for group in file["groups"]:
            for rule in group["rules"]:
                yield rule.get("alert", rule.get("record")), rule["expr"]


def dashboard_queries():
    for name, dashboard in dashboards().items():
        for panel, expr, _ in queries_of(dashboard):
            yield f"{name}: {panel}", expr


def test_every_alert_rests_on_a_metric_that_an_exporter_emits():
    assert {name: metrics_of(expr) - emitted() for name, expr in rule_queries() if metrics_of(expr) - emitted()} == {}


def test_every_panel_rests_on_a_metric_that_an_exporter_emits():
    queries = list(dashboard_queries())
    assert {name: metrics_of(expr) - emitted() for name, expr in queries if metrics_of(expr) - emitted()} == {}


def test_the_table_of_metrics_lists_none_that_nobody_asks_for():
    asked = {metric for _, expr in [*rule_queries(), *dashboard_queries()] for metric in metrics_of(expr)}
    assert emitted() - asked == set()


def test_no_two_exporters_are_said_to_emit_one_metric():
    assert sum(len(names) for names in EXPORTED_METRICS.values()) == len(emitted())


def test_what_training_exports_has_a_type_and_our_own_prefix():
    assert all(name.startswith("mlplatform_training_") for name in TRAINING_METRICS)
    for name, text in TRAINING_METRICS.items():
        assert text.startswith("counter: " if name.endswith("_total") else "gauge: ")


@pytest.mark.parametrize(
    ("query", "metrics"),
    [
        (
            'sum by (pod) (rate(requests_total{status=~"5.."}[5m])) / sum(rate(requests_total[5m])) > 0.05',
            {"requests_total"},
        ),
        ("max by (run) (step offset 30m) and on (run) changes(loss[20m]) == 0", {"step", "loss"}),
        ('label_replace(a:b, "x", "$1", "y", "(.+)") * on (x) group_left () c or vector(0)', {"a:b", "c"}),
        ("abs(loss) == Inf unless on () up", {"loss", "up"}),
    ],
)
def test_the_metrics_of_a_query_are_found(query, metrics):
    assert metrics_of(query) == metrics


def paragraphs():
    text = (REPOSITORY / "docs" / "alerts.md").read_text()
    return {
        title: body.strip() for title, body in re.findall(r"^### (\w+)\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    }


def test_every_alert_says_what_it_is_and_leads_to_what_to_do():
    for rule in alerts():
        annotations = rule["annotations"]
        assert set(annotations) == {"summary", "description", "runbook_url"}
        assert annotations["runbook_url"] == f"docs/alerts.md#{rule['alert'].lower()}"


def test_the_paragraphs_are_those_of_the_alerts():
    assert set(paragraphs()) == {rule["alert"] for rule in alerts()}
    assert all(len(body) > 100 for body in paragraphs().values())


def test_nodes_of_the_usual_types_have_a_price():
    priced = {
        rule["labels"]["instance_type"]
        for group in alert_files()["costs"]["groups"]
        for rule in group["rules"]
        if rule["record"] == "mlplatform:instance_price:usd_per_hour"
    }
    usual = PlatformSettings.model_fields["node_pools"].get_default(call_default_factory=True)
    assert {one for pool in usual.values() for one in pool.instance_types} <= priced

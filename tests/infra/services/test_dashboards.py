"""Dashboards show something: each query is put to a real Prometheus that holds what the exporters emit.

What Grafana asks CloudWatch is held to the documented metrics alone: there is no engine of it to ask.
"""

import json
import re
from pathlib import Path

import pytest
import yaml

from infra.services.metrics import ALERTS, CLOUDWATCH_METRICS, EXPORTED_METRICS, dashboards
from tests.infra.services.promql import (
    cloudwatch_queries_of,
    queries_of,
    run_promtool,
    variable_queries_of,
)

SERIES = yaml.safe_load((Path(__file__).parent / "dashboard_series.yaml").read_text())
COMPUTED = EXPORTED_METRICS["rules of our own"] | EXPORTED_METRICS["Prometheus"]
GRAFANAS_OWN = {"$__rate_interval": "5m"}


def filled(expr, dashboard):
    """The query as Grafana sends it with "All" chosen for each of the dashboard's variables."""
    values = GRAFANAS_OWN | {f"${one['name']}": one.get("allValue", "") for one in dashboard["templating"]["list"]}
    for name, value in values.items():
        expr = expr.replace(name, value)
    assert "$" not in re.sub(r'"\$\d"', "", expr), expr
    return expr


def questions():
    """Every query of a panel or variable, with the labels by which its series are told apart."""
    for dashboard in dashboards().values():
        for _, expr, legend in queries_of(dashboard):
            yield filled(expr, dashboard), re.findall(r"\{\{(\w+)\}\}", legend)
        for metric, label in variable_queries_of(dashboard):
            yield metric, [label]


def checks(expr, labels):
    """Expressions that are 1 if the query gives what is neither nothing, zero nor no number, and it has `labels`."""
    yield f"count(abs({expr}) > 0 < Inf) > bool 0", "{}"
    for label in labels:
        yield f'count by (found) (label_replace({expr}, "found", "yes", "{label}", ".+")) > bool 0', '{found="yes"}'


def test_every_panel_has_something_to_show_and_names_each_line(tmp_path):
    cases = [
        {"expr": check, "eval_time": "115m", "exp_samples": [{"labels": labels, "value": 1}]}
        for expr, legend in questions()
        for check, labels in checks(expr, legend)
    ]
    assert len(cases) > 90
    test = {"name": "dashboards", "interval": "1m", "input_series": SERIES, "promql_expr_test": cases}
    file = tmp_path / "dashboards.yaml"
    rules = [str(path) for path in sorted(ALERTS.glob("*.yaml"))]
    file.write_text(json.dumps({"rule_files": rules, "evaluation_interval": "1m", "tests": [test]}))
    run_promtool("test", "rules", str(file))


def test_the_exporters_of_that_platform_emit_what_ours_do():
    names = {one["series"].partition("{")[0] for one in SERIES}
    assert names == frozenset().union(*EXPORTED_METRICS.values()) - COMPUTED


def test_a_query_that_finds_nothing_or_only_its_own_zero_would_be_noticed(tmp_path):
    for expr in ('sum(kube_node_labels{node="none"})', 'count(kube_node_labels{node="none"}) or vector(0)', "0 / 0"):
        [(check, labels)] = checks(expr, [])
        case = {"expr": check, "eval_time": "5m", "exp_samples": [{"labels": labels, "value": 1}]}
        file = tmp_path / "empty.yaml"
        file.write_text(json.dumps({"tests": [{"input_series": SERIES, "promql_expr_test": [case]}]}))
        run_promtool("test", "rules", str(file), passes=False)


def test_what_grafana_asks_cloudwatch_is_documented_and_of_the_environments_database():
    asked: dict[str, set[str]] = {}
    for dashboard in dashboards({"database": "ml-platform-test"}).values():
        constants = {f"${one['name']}": one["query"] for one in dashboard["templating"]["list"]}
        for query in cloudwatch_queries_of(dashboard):
            asked.setdefault(query["namespace"], set()).add(query["metricName"])
            dimensions = {name: constants[value] for name, value in query["dimensions"].items()}
            assert dimensions == {"DBInstanceIdentifier": "ml-platform-test"}
            assert query["region"] == "default"
            assert query["matchExact"]
    assert asked == {namespace: set(names) for namespace, names in CLOUDWATCH_METRICS.items()}


def test_dashboards_have_ids_of_their_own():
    uids = [one["uid"] for one in dashboards().values()]
    assert len(set(uids)) == len(uids) == 7
    for dashboard in dashboards().values():
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", sorted(dashboards()))
def test_every_panel_has_a_title_a_description_and_a_unit(name):
    panels = dashboards()[name]["panels"]
    assert 6 <= len(panels) <= 10
    for panel in panels:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] in (
            {"type": "prometheus", "uid": "${datasource}"},
            {"type": "cloudwatch", "uid": "cloudwatch"},
        )


@pytest.mark.parametrize("name", sorted(dashboards()))
def test_panels_do_not_overlap(name):
    taken = [
        (x, y)
        for panel in dashboards()[name]["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24

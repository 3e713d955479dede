"""Alertmanager's routes: every alert reaches people, and once."""

import re

import pytest

from infra.services.alert_routing import NOBODY, PEOPLE, SEVERITIES, alertmanager_config
from infra.services.metrics import alerts

TOPIC = "arn:aws:sns:us-east-1:123456789012:alerts"


def matches(matcher, labels):
    """Whether one of Alertmanager's matchers, `name op "value"`, holds for an alert."""
    parts = re.fullmatch(r'(\w+) (=~|=) "(.*)"', matcher)
    assert parts, matcher
    name, operator, value = parts.groups()
    given = labels.get(name, "")
    return re.fullmatch(value, given) is not None if operator == "=~" else given == value


def receiver_of(config, labels):
    """Who is told of an alert: the first route that matches, else the root's."""
    for route in config["route"]["routes"]:
        if all(matches(one, labels) for one in route["matchers"]):
            return route["receiver"]
    return config["route"]["receiver"]


def config_of(slack_secret=None):
    return alertmanager_config(topic_arn=TOPIC, region="us-east-1", slack_secret=slack_secret)


def test_every_alert_has_a_receiver_that_people_read():
    config = config_of()
    ways = {one["name"]: [key for key in one if key.endswith("_configs")] for one in config["receivers"]}
    assert ways[PEOPLE] == ["sns_configs"]
    for rule in alerts():
        labels = {"alertname": rule["alert"], **rule["labels"]}
        assert receiver_of(config, labels) == PEOPLE, labels
    assert {rule["labels"]["severity"] for rule in alerts()} <= set(SEVERITIES)


def test_an_alert_of_an_unknown_severity_is_not_lost():
    assert receiver_of(config_of(), {"alertname": "Other", "severity": "page"}) == PEOPLE
    assert receiver_of(config_of(), {"alertname": "Other"}) == PEOPLE


@pytest.mark.parametrize("labels", [{"severity": "info"}, {"alertname": "Watchdog", "severity": "none"}])
def test_what_is_no_news_is_not_sent(labels):
    assert receiver_of(config_of(), {"alertname": "Other", **labels}) == NOBODY


def test_every_receiver_that_a_route_names_is_there():
    route = config_of()["route"]
    named = {route["receiver"], *(one["receiver"] for one in route["routes"])}
    assert named == {one["name"] for one in config_of()["receivers"]}


def test_a_critical_alert_silences_the_warning_of_the_same_thing():
    [rule] = config_of()["inhibit_rules"]
    assert (rule["source_matchers"], rule["target_matchers"]) == (['severity = "critical"'], ['severity = "warning"'])
    assert {"alertname", "namespace", "persistentvolumeclaim"} <= set(rule["equal"])

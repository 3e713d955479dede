"""Alertmanager's configuration: the receivers of each alert."""

from __future__ import annotations

from typing import Any

import pulumi

from infra.identity.iam import Allow

PEOPLE = "people"
NOBODY = "nobody"
SEVERITIES = ("critical", "warning")
"""Severities of alerts that are sent; one of `info` or less can only be looked up."""
_SECRETS_FOLDER = "/etc/alertmanager/secrets"
_SUBJECT = "[{{ .CommonLabels.environment }}] {{ .Status | toUpper }}: {{ .CommonLabels.alertname }}"
_TEXT = (
    "{{ range .Alerts }}{{ .Status | toUpper }} {{ .Labels.severity }}: {{ .Annotations.summary }}\n"
    "{{ .Annotations.description }}\nWhat to do: {{ .Annotations.runbook_url }}\n\n{{ end }}"
)


def publish_access(topic_arn: pulumi.Input[str]) -> tuple[Allow, ...]:
    """Return what lets Alertmanager publish to the topic of alerts."""
    return (Allow(actions=("sns:Publish",), resources=(topic_arn,)),)


def alertmanager_config(*, topic_arn: pulumi.Input[str], region: str, slack_secret: str | None) -> dict[str, Any]:
    """Return a configuration that sends critical and warning alerts, and any of unknown severity, to topic and Slack.

    `slack_secret` names a Secret, mounted into Alertmanager, whose `url` is an incoming webhook.
    """
    people: dict[str, Any] = {
        "name": PEOPLE,
        "sns_configs": [
            {
                "topic_arn": topic_arn,
                # Signed with the role of Alertmanager's service account.
                "sigv4": {"region": region},
                "subject": _SUBJECT,
                "message": _TEXT,
                "send_resolved": True,
            }
        ],
    }
    if slack_secret:
        people["slack_configs"] = [
            {
                "api_url_file": f"{_SECRETS_FOLDER}/{slack_secret}/url",
                "title": _SUBJECT,
                "text": _TEXT,
                "send_resolved": True,
            }
        ]
    return {
        "route": {
            "receiver": PEOPLE,
            # One message for an alert of a namespace, however many pods or nodes it is of.
            "group_by": ["alertname", "namespace", "severity"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": [
                # `Watchdog` always fires, as a sign of life; `InfoInhibitor` serves inhibition alone.
                {"receiver": NOBODY, "matchers": ['alertname =~ "Watchdog|InfoInhibitor"']},
                {"receiver": NOBODY, "matchers": ['severity =~ "info|none"']},
                {
                    "receiver": PEOPLE,
                    "matchers": ['severity = "critical"'],
                    "group_wait": "10s",
                    "repeat_interval": "2h",
                },
            ],
        },
        # What is critical was a warning before, of the same thing; one message will do.
        "inhibit_rules": [
            {
                "source_matchers": ['severity = "critical"'],
                "target_matchers": ['severity = "warning"'],
                "equal": ["alertname", "namespace", "node", "persistentvolumeclaim", "run"],
            }
        ],
        "receivers": [people, {"name": NOBODY}],
    }

import base64
import json

import pytest

from policies.rules.model import STACK, UNKNOWN
from policies.rules.tags import default_tags
from tests.policies.builders import messages, resource

MAP = "kubernetes:core/v1:ConfigMap"
STORED = "aws:secretsmanager/secretVersion:SecretVersion"
KEY = "AKIA" + "ABCDEFGHIJKLMNOP"
TAGS = {"Project": "ml-platform", "Environment": "prod", "Platform": "ml-platform-prod", "ManagedBy": "pulumi"}
BUDGET = resource("aws:budgets/budget:Budget", {"limitAmount": "1500"})


def leaks(properties, *others, type_=MAP, **known):
    """What leaks, by key and kind."""
    found = messages("no-plain-secrets", resource(type_, properties), *others, **known)
    return [message.split(" in plain;")[0] for message in found]


@pytest.mark.parametrize(
    "properties",
    [
        {"password": "[secret]"},
        {"password": ""},
        {"password": UNKNOWN},
        {"automountServiceAccountToken": False},
        {"secretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:a"},
        {"secret": "arn:aws:secretsmanager:us-east-1:123456789012:secret:a"},
        {"passwordKey": "password", "secretName": "mlflow-admin-1", "existingSecret": "grafana-admin"},
        {"secretName": "airflow-1", "secretKey": "connection"},
        {"remoteRef": {"key": "a", "property": "password"}, "secretKey": "PGPASSWORD"},
        {"ACCOUNT_PASSWORDS": "/accounts", "password": "$PASSWORD"},
        {"connection": "postgresql://{{ .username }}:{{ .password }}@host/db", "shell": "https://$USER:$PASS@host"},
        {"httpTokens": "required", "key": "value", "labels": {"a": ["b"]}},
        {"env": [{"name": "PGPASSWORD", "valueFrom": {"secretKeyRef": {"key": "password", "name": "login"}}}]},
        {"userData": base64.b64encode(b"plain").decode(), "other": {"userData": "no base64!"}},
        {"userData": base64.b64encode(b"\xff\xfe" * 20).decode()},
        {"": "x"},
    ],
)
def test_what_only_names_a_secret_is_not_spoken_of(properties):
    assert leaks(properties, secret_values=frozenset({"0123456789abcdef"})) == []


def test_the_name_of_a_secret_in_the_cluster_is_not_a_secret():
    secret = resource("kubernetes:external-secrets.io/v1:ExternalSecret", {"spec": {"target": {"name": "login-1"}}})
    assert leaks({"login_secret": "login-1"}, secret, type_=STACK) == []
    assert leaks({"login_secret": "login-2"}, secret, type_=STACK) == [
        "login_secret of Stack thing holds what its name says is secret"
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (KEY, "an AWS access key"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", "a private key"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE", "a private key"),
        ("token ghp_" + "a1" * 18, "a GitHub token"),
        ("github_pat_" + "a1" * 11, "a GitHub token"),
        ("xoxb-" + "1234567890", "a Slack token"),
        ("https://hooks.slack.com/" + "services/T00/B00/xyz", "a Slack webhook"),
        ("postgresql://mlflow:hunter2@host:5432/mlflow", "a URL with a password"),
        ("say 0123456789abcdef aloud", "a value that is marked secret elsewhere"),
    ],
)
@pytest.mark.parametrize("form", ["text", "nested JSON", "list", "user data"])
def test_a_secret_is_known_by_its_shape_or_by_its_mark_elsewhere(text, what, form):
    forms = {
        "text": ("note", {"note": text}),
        "nested JSON": ("note", {"data": json.dumps({"inner": [{"note": text}]})}),
        "list": ("args", {"args": ["run", text]}),
        "user data": ("userData", {"userData": base64.b64encode(text.encode()).decode()}),
    }
    key, properties = forms[form]
    found = leaks(properties, secret_values=frozenset({"0123456789abcdef"}))
    assert found == [f"{key} of ConfigMap thing holds {what}"]


@pytest.mark.parametrize(
    ("properties", "key"),
    [
        ({"password": "hunter2"}, "password"),
        ({"masterUserPassword": "hunter2"}, "masterUserPassword"),
        ({"flaskServerSecretKey": "0123"}, "flaskServerSecretKey"),
        ({"slack-webhook": "T000"}, "slack-webhook"),
        ({"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}, "DB_PASSWORD"),
        ({"secretName": "login", "password": "hunter2"}, "password"),
    ],
)
def test_a_secret_is_known_by_its_name(properties, key):
    assert leaks(properties) == [f"{key} of ConfigMap thing holds what its name says is secret"]


def test_a_message_does_not_repeat_the_secret():
    [message] = messages("no-plain-secrets", resource(MAP, {"note": KEY}))
    assert KEY not in message


def test_where_nothing_is_marked_only_shapes_count_and_not_in_what_holds_secrets():
    assert leaks({"password": "hunter2"}, marks_secrets=False) == []
    assert leaks({"secretString": KEY}, type_=STORED, marks_secrets=False) == []
    assert leaks({"note": KEY}, marks_secrets=False) == ["note of ConfigMap thing holds an AWS access key"]
    assert leaks({"secretString": KEY}, type_=STORED) == ["secretString of SecretVersion thing holds an AWS access key"]


def template(**tags):
    started = [{"resourceType": kind, "tags": tags.get(kind, TAGS)} for kind in ("instance", "volume")]
    properties = {"tagSpecifications": started}
    return resource("aws:ec2/launchTemplate:LaunchTemplate", properties, default_tags=TAGS)


@pytest.mark.parametrize(
    "found",
    [
        resource("aws:ec2/vpc:Vpc", default_tags=TAGS),
        resource("aws:ec2/vpc:Vpc", {"tags": TAGS}),
        resource("aws:ec2/vpc:Vpc", {"tagsAll": TAGS}),
        resource("aws:ec2/vpc:Vpc", {"tagsAll": UNKNOWN}),
        resource("aws:ec2/vpc:Vpc", default_tags=UNKNOWN),
        resource("kubernetes:core/v1:Namespace"),
        template(),
        template(volume=UNKNOWN),
        resource("aws:ec2/launchTemplate:LaunchTemplate", {"tagSpecifications": UNKNOWN}, default_tags=TAGS),
    ],
)
def test_what_is_tagged_is_not_spoken_of(found):
    assert messages("tagged", found) == []


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (resource("aws:ec2/vpc:Vpc"), "thing has no tag Environment, ManagedBy, Platform, Project; "),
        (resource("aws:ec2/vpc:Vpc", default_tags={**TAGS, "Platform": ""}), "thing has no tag Platform; "),
        (
            resource("aws:ec2/vpc:Vpc", {"tags": {"Environment": "dev"}}, default_tags=TAGS),
            "tag Environment of thing is 'dev'",
        ),
        (template(volume={}), "each volume of thing has no tag Environment, "),
        (template(instance=None), "each instance of thing has no tag Environment, "),
    ],
)
def test_what_costs_are_not_told_apart_by_is_named(found, message):
    [spoken] = messages("tagged", found)
    assert spoken.startswith(message)


def test_default_tags_are_read_as_text_and_as_a_mapping():
    assert default_tags({"defaultTags": json.dumps({"tags": TAGS})}) == TAGS
    assert default_tags({"defaultTags": {"tags": TAGS}}) == TAGS
    assert default_tags({"defaultTags": UNKNOWN}) is UNKNOWN
    assert default_tags({}) == {}


@pytest.mark.parametrize("usd", [None, 12.5, 1500])
def test_a_price_within_the_budget_is_not_spoken_of(usd):
    assert messages("within-budget", BUDGET, monthly_usd=usd) == []


def test_a_price_above_the_budget_is_named_with_both():
    [spoken] = messages("within-budget", BUDGET, monthly_usd=1500.5)
    assert spoken.startswith("prod costs 1500.50 USD a month while nobody uses it, and its budget is 1500.00 USD")


def test_a_limit_that_cannot_be_read_is_not_spoken_of():
    assert messages("within-budget", resource(BUDGET.type, {"limitAmount": UNKNOWN}), monthly_usd=1) == []


def test_a_cluster_without_a_budget_is_named():
    cluster = resource("aws:eks/cluster:Cluster")
    [spoken] = messages("within-budget", cluster, monthly_usd=1)
    assert spoken == "thing costs money and prod has no budget; add one"

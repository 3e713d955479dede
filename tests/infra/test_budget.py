"""The budget: what it counts, when it speaks, and to whom."""

import json

import pytest

from infra.budget import Budget, BudgetArgs
from infra.settings.settings import BudgetSettings
from tests.builders import deploy, inputs_of, wanted
from tests.iam_evaluator import trusts
from tests.infra.builders import ENVIRONMENT


def deploy_budget(*emails):
    settings = BudgetSettings(monthly_usd=300, emails=emails)
    args = BudgetArgs(environment=ENVIRONMENT, settings=settings)
    return deploy(lambda: Budget("budget", args))


def budget_of(deployment):
    [budget] = inputs_of(deployment, "aws:budgets/budget:Budget").values()
    return budget


def test_it_counts_what_carries_the_environments_tag_alone():
    budget = budget_of(deploy_budget())
    assert (budget["limitAmount"], budget["limitUnit"], budget["timeUnit"]) == ("300", "USD", "MONTHLY")
    assert budget["costFilters"] == [{"name": "TagKeyValue", "values": ["user:Platform$ml-platform-test"]}]


def test_it_speaks_of_what_was_spent_and_of_what_will_be():
    deployment = deploy_budget()
    [topic] = deployment.of_type("aws:sns/topic:Topic")
    found = budget_of(deployment)["notifications"]
    assert {(one["notificationType"], one["threshold"]) for one in found} == {
        ("ACTUAL", 80),
        ("ACTUAL", 100),
        ("FORECASTED", 100),
    }
    assert all(one["subscriberSnsTopicArns"] == [topic.created.outputs["arn"]] for one in found)


def test_every_address_is_told():
    subscriptions = inputs_of(deploy_budget("a@b.org", "c@d.org"), "aws:sns/topicSubscription:TopicSubscription")
    assert {(one["protocol"], one["endpoint"]) for one in subscriptions.values()} == {
        ("email", "a@b.org"),
        ("email", "c@d.org"),
    }


@pytest.mark.parametrize(("account", "allowed"), [("123456789012", True), ("999999999999", False)])
def test_budgets_and_alarms_of_the_own_account_alone_publish_to_the_topic(account, allowed):
    [policy] = inputs_of(deploy_budget(), "aws:sns/topicPolicy:TopicPolicy").values()
    context = {"aws:SourceAccount": account}
    document = json.loads(policy["policy"])
    for name in ("budgets", "cloudwatch", "events.rds"):
        service = {"Service": f"{name}.amazonaws.com"}
        assert trusts(document, action="SNS:Publish", principal=service, context=context) is allowed


def test_the_topic_may_be_published_to_before_a_budget_names_it():
    deployment = deploy_budget()
    [policy] = wanted(deployment, "aws:sns/topicPolicy:TopicPolicy").values()
    [budget] = wanted(deployment, "aws:budgets/budget:Budget").values()
    assert policy.urn in budget.dependencies

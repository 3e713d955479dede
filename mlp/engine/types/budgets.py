"""Budgets: the limit on an account's cost, and who is notified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlp.engine.cloud import ACCOUNT, Created, Place, Registration, physical_name
from mlp.engine.types.aws import AT_ONCE, forced_by_aws
from mlp.engine.types.facts import AwsType, Inputs
from mlp.engine.types.request import Fields, Nested, Request, pascal

# The emulator takes the tags and forgets them; it keeps subscribers, and has no call that tells of them.
_BUDGET: Fields = {
    **pascal("budgetType", "timeUnit", "limitAmount", "limitUnit"),
    "costFilters": Nested("CostFilters", pascal("name", "values")),
    "notifications": Nested(
        "Notifications",
        pascal("notificationType", "comparisonOperator", "threshold", "thresholdType", "subscriberSnsTopicArns"),
    ),
}


def _record_budget(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    arn = place.arn("budgets", f"budget/{name}", region="")
    return Created(id=f"{ACCOUNT}:{name}", outputs={"name": name, "arn": arn, "accountId": ACCOUNT})


def _make_budget(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    tags = request.tag_list()
    budget = request.arguments(_BUDGET)
    notifications = [_notification(one) for one in budget.pop("Notifications", [])]
    limit = {"Amount": budget.pop("LimitAmount", None), "Unit": budget.pop("LimitUnit", None)}
    filters = {one["Name"]: one["Values"] for one in budget.pop("CostFilters", [])}
    request.client("budgets").create_budget(
        AccountId=ACCOUNT,
        Budget={"BudgetName": name, "BudgetLimit": limit, "CostFilters": filters, **budget},
        NotificationsWithSubscribers=notifications,
        ResourceTags=tags,
    )
    arn = request.place.arn("budgets", f"budget/{name}", region="")
    return Created(id=f"{ACCOUNT}:{name}", outputs={"name": name, "arn": arn, "accountId": ACCOUNT})


def _notification(asked: dict[str, Any]) -> dict[str, Any]:
    topics = asked.pop("SubscriberSnsTopicArns", [])
    return {
        "Notification": asked,
        "Subscribers": [{"SubscriptionType": "SNS", "Address": topic} for topic in topics],
    }


TYPES: Mapping[str, AwsType] = {
    "aws:budgets/budget:Budget": AwsType(
        replaced_by=forced_by_aws("budgets/budget", "accountId name namePrefix", regional=False),
        recorder=_record_budget,
        emulator=_make_budget,
        takes=AT_ONCE,
        precious=None,
        price="a budget that only notifies is free",
    ),
}

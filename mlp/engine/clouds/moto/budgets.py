"""Budgets: what an account may cost, and who is told."""

from __future__ import annotations

from typing import Any

from mlp.engine.cloud import ACCOUNT, Created, physical_name
from mlp.engine.clouds.moto.request import Fields, Handler, Nested, Request, pascal

# The emulator takes the tags and forgets them; it keeps subscribers, and has no call that tells of them.
_BUDGET: Fields = {
    **pascal("budgetType", "timeUnit", "limitAmount", "limitUnit"),
    "costFilters": Nested("CostFilters", pascal("name", "values")),
    "notifications": Nested(
        "Notifications",
        pascal("notificationType", "comparisonOperator", "threshold", "thresholdType", "subscriberSnsTopicArns"),
    ),
}


def _budget(request: Request) -> Created:
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


HANDLERS: dict[str, Handler] = {"aws:budgets/budget:Budget": _budget}

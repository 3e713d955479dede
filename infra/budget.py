"""The environment's monthly budget, and the topic of its alerts."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.environment import Environment
from infra.identity.iam import Condition, ResourceStatement, resource_policy
from infra.settings.settings import BudgetSettings
from infra.tags import COST_TAG

_ACTUAL_PERCENT = (80, 100)
_FORECAST_PERCENT = 100


@dataclass(frozen=True, kw_only=True)
class BudgetArgs:
    """Inputs of `Budget`. The environment's account alone may have AWS send alerts."""

    environment: Environment
    settings: BudgetSettings


class Budget(pulumi.ComponentResource):
    """A monthly budget of the environment's tagged costs, and the topic that carries its alerts and others'."""

    topic_arn: pulumi.Output[str]

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:budget:Budget", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        of_account = Condition(operator="StringEquals", key="aws:SourceAccount", values=(args.environment.account,))
        # Not encrypted with a key of AWS's own: AWS's services may not publish to such a topic.
        topic = aws.sns.Topic(f"{name}-alerts", opts=child)
        published = aws.sns.TopicPolicy(
            f"{name}-alerts",
            arn=topic.arn,
            policy=resource_policy(
                [
                    ResourceStatement(
                        principal={"Service": f"{service}.amazonaws.com"},
                        actions=("SNS:Publish",),
                        resources=(topic.arn,),
                        conditions=(of_account,),
                    )
                    for service in ("budgets", "cloudwatch", "events.rds")
                ]
            ),
            opts=child,
        )
        for email in args.settings.emails:
            aws.sns.TopicSubscription(f"{name}-{email}", topic=topic.arn, protocol="email", endpoint=email, opts=child)
        alerts = [("ACTUAL", percent) for percent in _ACTUAL_PERCENT] + [("FORECASTED", _FORECAST_PERCENT)]
        aws.budgets.Budget(
            f"{name}-monthly",
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(args.settings.monthly_usd),
            limit_unit="USD",
            cost_filters=[{"name": "TagKeyValue", "values": [f"user:{COST_TAG}${args.environment.tags[COST_TAG]}"]}],
            notifications=[
                {
                    "notification_type": kind,
                    "comparison_operator": "GREATER_THAN",
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_sns_topic_arns": [topic.arn],
                }
                for kind, percent in alerts
            ],
            # AWS refuses a topic that budgets may not publish to; its ARN does not carry that.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[published]),
        )

        self.topic_arn = published.arn  # the topic's, once AWS's services may publish to it
        self.register_outputs({"topic_arn": self.topic_arn})

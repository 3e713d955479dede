"""The rule about the price of an environment."""

from __future__ import annotations

from collections.abc import Iterator

from policies.rules.encryption import CLUSTER
from policies.rules.model import Context, Finding, Level, Plan, Rule, of_type
from policies.rules.reading import at, number

_BUDGET = "aws:budgets/budget:Budget"


def _within_budget(plan: Plan, context: Context) -> Iterator[Finding]:
    if context.monthly_usd is None:
        return
    budgets = of_type(plan, _BUDGET)
    for budget in budgets:
        limit = number(at(budget.properties, "limitAmount"))
        if limit is not None and context.monthly_usd > limit:
            message = (
                f"{context.environment} costs {context.monthly_usd:.2f} USD a month while nobody uses it, and its "
                f"budget is {limit:.2f} USD; make it smaller, or raise budget.monthly_usd"
            )
            yield budget, message
    if not budgets:
        for cluster in of_type(plan, CLUSTER):
            yield cluster, f"{cluster.name} costs money and {context.environment} has no budget; add one"


WITHIN_BUDGET = Rule(
    name="within-budget",
    description="What an environment costs a month while nobody uses it is less than its budget.",
    check=_within_budget,
    whole_plan=True,
    level_overrides={"local": Level.OFF},
    offline_only_reason="prices are known offline alone: run `mlp policy`",
)

COST_RULES = (WITHIN_BUDGET,)

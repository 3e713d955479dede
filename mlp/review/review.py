"""The review of a plan before it is deployed: changes, price, policy, capacity, time to bring up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from mlp.engine.deployment import Deployment
from mlp.plan.planned import ProgramPlan, program_plan
from mlp.review.capacity.fit import CapacityReport, capacity
from mlp.review.capacity.report import section as capacity_section
from mlp.review.changes.comparison import Comparison, changes_sections, comparison
from mlp.review.cost import bill as cost
from mlp.review.cost import prices
from mlp.review.cost import report as cost_report
from mlp.review.policy.verdict import Verdict, context_of, verdict
from mlp.review.report import Section
from mlp.review.timeline.critical_path import Timeline, timeline
from mlp.review.timeline.report import section as timeline_section


@dataclass(frozen=True, kw_only=True)
class Review:
    """A reviewed plan of a stack; `compared` and `price_change` are None where there is no earlier plan."""

    plans: tuple[ProgramPlan, ...]
    compared: Comparison | None
    bill: cost.Bill
    price_change: cost.Difference | None
    verdict: Verdict
    capacity: CapacityReport
    timelines: tuple[Timeline, ...]

    @property
    def stack(self) -> str:
        """Return the environment."""
        return self.plans[0].stack

    def headline(self) -> tuple[str, str]:
        """Return the title and the summary of the report."""
        return headline(self.stack, self.compared)

    def sections(self) -> list[Section]:
        """Return the sections that a reviewer is shown."""
        return [
            *(changes_sections(self.compared) if self.compared else []),
            cost_report.section(self.bill, self.price_change),
            self.verdict.section(),
            capacity_section(self.capacity),
            *(timeline_section(one) for one in self.timelines),
        ]

    def as_data(self) -> dict[str, Any]:
        """Return the review in plain values."""
        return {
            **(self.compared.as_data() if self.compared else {"changes": None, "dangers": []}),
            "cost": cost_report.as_data(self.bill),
            "policy": self.verdict.as_data(),
            "capacity": self.capacity.as_data(),
            "timeline": [one.as_data() for one in self.timelines],
        }


def headline(stack: str, compared: Comparison | None) -> tuple[str, str]:
    """Return the title and the summary of a report on a plan."""
    if compared is None:
        return f"Plan of {stack}", f"there is no committed plan to compare with; `mlp snapshot {stack}` writes one"
    return f"Plan of {stack} against {compared.against}", compared.summary


def review(
    deployments: Sequence[Deployment], earlier: tuple[str, Sequence[ProgramPlan]] | None, *, today: date
) -> Review:
    """Review the plan of a stack's programs on the day `today`, compared with earlier plans under their name.

    Raise PlatformError for an invalid price table or file of exemptions, and for a chart or an add-on whose pods are
    not known.
    """
    plans = tuple(program_plan(one) for one in deployments)
    table = prices.load()
    bill = cost.bill(plans, table)
    compared = price_change = None
    if earlier and earlier[1]:
        against, old = earlier
        compared = comparison(against, old, plans)
        price_change = cost.difference(cost.bill(old, table), bill)
    return Review(
        plans=plans,
        compared=compared,
        bill=bill,
        price_change=price_change,
        verdict=verdict(deployments, context_of(deployments, today=today, monthly_usd=bill.idle_usd)),
        capacity=capacity(plans),
        timelines=tuple(timeline(one) for one in plans),
    )

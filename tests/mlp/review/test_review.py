"""A plan judged from all sides at once."""

import json
from datetime import date

import pytest

from mlp.engine.deployment import Deployment
from mlp.plan.planned import program_plan
from mlp.review.report import markdown
from mlp.review.review import review
from tests.builders import planned
from tests.mlp.review.capacity.builders import changed

DAY = date(2026, 11, 21)
DATABASE = "database-instance"
MLFLOW = "mlflow-release"


def judged(stack: str, earlier=None, deployments: list[Deployment] | None = None):
    return review(deployments or planned(stack), earlier, today=DAY)


def titles(found) -> list[str]:
    return [section.title for section in found.sections()]


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_an_environment_as_it_is_has_a_price_and_a_time_and_nothing_that_must_be_looked_at(stack):
    found = judged(stack, ("main", [program_plan(one) for one in planned(stack)]))
    assert titles(found) == [
        "Platform", "Workloads", "Price", "Policy", "Capacity", "Bring-up of platform", "Bring-up of workloads",
    ]  # fmt: skip
    assert not any(section.unfolded for section in found.sections())
    title, summary = found.headline()
    text = markdown(title, summary, found.sections())
    for expected in ("USD a month when idle (+0.00)", "0 violations", "pods fit the nodes", "min to bring up"):
        assert expected in text


def test_a_change_of_the_database_is_reported_with_its_price():
    before = changed("prod", DATABASE, lambda inputs: inputs.update(multiAz=False))
    found = judged("prod", ("main", before))
    [price] = [section for section in found.sections() if section.title == "Price"]
    assert found.price_change is not None
    assert f"({found.price_change.new.idle_usd - found.price_change.old.idle_usd:+,.2f})" in price.summary
    assert "Database" in price.body[0]
    [platform] = [section for section in found.sections() if section.title == "Platform"]
    assert any("multiAz" in piece for piece in platform.body)


def test_without_an_earlier_plan_the_rest_is_judged_all_the_same():
    found = judged("dev")
    assert found.headline()[1].endswith("`mlp snapshot dev` writes one")
    assert titles(found)[0] == "Price"
    data = json.loads(json.dumps(found.as_data()))
    assert data["changes"] is None
    assert data["cost"]["idle_usd_per_month"] > 0
    assert data["policy"]["counts"]["violations"] == 0
    assert data["capacity"]["faults"] == []
    assert len(data["timeline"]) == 2


def test_the_laptops_stack_costs_nothing():
    [price] = [section for section in judged("local").sections() if section.title == "Price"]
    assert "costs nothing" in price.summary

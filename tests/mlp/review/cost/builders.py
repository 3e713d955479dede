"""Small plans and price tables, and the plans of the committed stacks, for tests of prices."""

from datetime import date
from functools import cache

from mlp.engine.cloud import Registration
from mlp.plan.planned import ProgramPlan, program_plan
from mlp.review.cost.prices import Price, Prices, unit_of
from tests.builders import planned

REGION = "us-east-1"


def price(item, usd):
    return Price(usd=usd, unit=unit_of(item), source="https://example.com/prices", as_of=date(2026, 11, 1))


def table(region=REGION, **groups):
    """Prices by group: `table(nat={"gateway": 0.045})`; a group's underscore stands for a dash."""
    items = {f"{group.replace('_', '-')}/{name}": usd for group, names in groups.items() for name, usd in names.items()}
    return Prices({region: {item: price(item, usd) for item, usd in items.items()}})


def entry(type_, name="one", *, dependencies=(), custom=True, **inputs):
    urn = f"urn:pulumi:test::ml-platform::{type_}::{name}"
    return Registration(
        urn=urn, type=type_, name=name, parent=None, custom=custom, inputs=inputs, dependencies=dependencies
    )


def program(*entries, region=REGION, outputs=None):
    """The plan of a stack with `entries` and the provider of `region`."""
    provider = entry("pulumi:providers:aws", "aws", region=region)
    return ProgramPlan(
        program="platform",
        stack="test",
        resources={one.urn: one for one in (provider, *entries)},
        outputs=outputs or {},
    )


def pool(name, *types, capacity="SPOT", smallest=0, **ebs):
    """A node group and its launch template."""
    disk = {"volumeType": "gp3", "volumeSize": 50, "iops": 3000, "throughput": 125, **ebs}
    template = entry("aws:ec2/launchTemplate:LaunchTemplate", name, blockDeviceMappings=[{"ebs": disk}])
    group = entry(
        "aws:eks/nodeGroup:NodeGroup",
        name,
        dependencies=(template.urn,),
        labels={"ml-platform/pool": name},
        instanceTypes=list(types),
        capacityType=capacity,
        scalingConfig={"minSize": smallest, "maxSize": 9, "desiredSize": smallest},
    )
    return template, group


@cache
def committed(stack):
    """The plans of a committed stack."""
    return [program_plan(one) for one in planned(stack)]


def usd_by_item(bill):
    """What each item costs a month, to the cent."""
    return {(item.area, item.name): round(item.usd, 2) for item in bill.items}

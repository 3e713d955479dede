"""The policy pack that `pulumi preview --policy-pack policies` runs."""

from __future__ import annotations

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    StackValidationArgs,
    StackValidationPolicy,
)

from policies.rules import RULES, PlannedResource, Rule


def as_planned(resource: PolicyResource) -> PlannedResource:
    """A resource of Pulumi's as the rules see it."""
    return PlannedResource(
        urn=resource.urn,
        type=resource.resource_type,
        name=resource.name,
        properties=resource.props,
        dependencies=tuple(one.urn for one in resource.dependencies),
    )


def as_policy(rule: Rule) -> StackValidationPolicy:
    """A rule as a policy of Pulumi's."""

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for resource, message in rule.check([as_planned(one) for one in args.resources]):
            report(message, resource.urn)

    return StackValidationPolicy(
        name=rule.name, description=rule.description, validate=validate, enforcement_level=EnforcementLevel.MANDATORY
    )


if __name__ == "__main__":
    PolicyPack(name="ml-platform", policies=[as_policy(rule) for rule in RULES])

"""The policy pack that `pulumi preview --policy-pack policies` runs.

Pulumi starts it in its own folder, and it serves until it is stopped. A policy of Pulumi's has one level everywhere, so
a rule that is mandatory here and advisory there is two policies, of which the stack's name lets one speak.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from policies.rules import RULES, Context, Level, PlannedResource, Rule
from policies.rules.exemptions import Exemption, ExemptionsError, load
from policies.rules.judging import EXEMPTIONS, judge, over
from policies.rules.model import UNKNOWN
from policies.rules.tags import default_tags


def plain(value: Any) -> Any:
    """A property as the rules read it: Pulumi's proxies raise where a value is unknown, and are no lists."""
    match value:
        case str():
            return value
        case float():
            return int(value) if value.is_integer() else value
        case Mapping():
            return {key: _item(value, key) for key in value}
        case Sequence():
            return [_item(value, index) for index in range(len(value))]
        case _:
            return value


def _item(container: Any, key: Any) -> Any:
    try:
        return plain(container[key])
    except UnknownValueError:
        return UNKNOWN


def as_planned(resource: PolicyResource) -> PlannedResource:
    """A resource of Pulumi's as the rules see it."""
    return PlannedResource(
        urn=resource.urn,
        type=resource.resource_type,
        name=resource.name,
        properties=plain(resource.props),
        dependencies=tuple(one.urn for one in resource.dependencies),
        protect=bool(resource.opts.protect),
        default_tags=default_tags(plain(resource.provider.props)) if resource.provider else {},
    )


def context_of(args: StackValidationArgs) -> Context:
    """The context of a preview: its stack, and neither prices nor marks on secrets."""
    urn = next((one.urn for one in args.resources), "")
    environment = urn.partition("::")[0].rpartition(":")[2]
    return Context(environment=environment, today=date.today(), marks_secrets=False)  # noqa: DTZ011  as people count


def as_policies(rule: Rule, exemptions: Sequence[Exemption]) -> list[StackValidationPolicy]:
    """A rule as policies of Pulumi's, one for each level that it may have."""
    return [_as_policy(rule, level, exemptions) for level in sorted(rule.levels, reverse=True)]


def _as_policy(rule: Rule, level: Level, exemptions: Sequence[Exemption]) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        context = context_of(args)
        if rule.level_in(context.environment) is not level:
            args.not_applicable(f"in {context.environment or 'an empty stack'} it is not asked at this level")
        if rule.offline_alone:
            args.not_applicable(rule.offline_alone)
        judgement = judge([rule], [[as_planned(one) for one in args.resources]], context, exemptions)
        for violation in (*judgement.violations, *judgement.advisories):
            if violation.rule == rule.name:
                report(violation.message, violation.urn)

    return StackValidationPolicy(
        name=rule.name if len(rule.levels) == 1 or level is Level.MANDATORY else f"{rule.name}-{level}",
        description=rule.description,
        validate=validate,
        enforcement_level=EnforcementLevel(level.value),
    )


def exemptions_policy(exemptions: Sequence[Exemption]) -> StackValidationPolicy:
    """The policy that no exemption is over."""

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for violation in over(exemptions, context_of(args)):
            report(violation.message, None)

    return StackValidationPolicy(
        name=EXEMPTIONS,
        description="Every exemption of policies/exemptions.yaml is still in time.",
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
    )


def policies(exemptions: Sequence[Exemption]) -> list[Policy]:
    """All policies of the pack."""
    return [exemptions_policy(exemptions), *(policy for rule in RULES for policy in as_policies(rule, exemptions))]


if __name__ == "__main__":
    try:
        committed = load({rule.name for rule in RULES})
    except ExemptionsError as error:
        sys.exit(str(error))
    PolicyPack(name="ml-platform", policies=policies(committed))

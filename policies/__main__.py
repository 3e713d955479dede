"""The policy pack that `pulumi preview --policy-pack policies` runs.

Pulumi starts it in its own folder, and it serves until it is stopped. A Pulumi policy has one level everywhere, so a
rule that is mandatory in one environment and advisory in another becomes two policies, of which the stack's name
enables one.

A rule that checks each resource by itself is a resource policy: `pulumi up` runs it before it creates the resource,
when all inputs are known. One that needs the whole plan is a stack policy, run at the end of a preview or an update.
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
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from policies.rules import RULES, Context, Level, PlannedResource, Rule, Violation
from policies.rules.exemptions import Exemption, ExemptionsError, load
from policies.rules.judging import EXEMPTIONS, expired, judge
from policies.rules.model import UNKNOWN
from policies.rules.pods import RELEASE
from policies.rules.tags import default_tags


def plain(value: Any) -> Any:
    """Return a property as the rules read it: Pulumi's proxies raise for unknown values, and are no lists."""
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


def _with_unknown_images(value: Any) -> Any:
    """Return a release's values with the images whose tag nobody knows yet.

    The Kubernetes provider drops what is unknown from them, so that during a preview an image that is about to be built
    has a repository alone. `mlp policy` sees what is really left out.
    """
    match value:
        case Mapping():
            full = {key: _with_unknown_images(one) for key, one in value.items()}
            return {"tag": UNKNOWN, **full} if "repository" in full and "digest" not in full else full
        case list():
            return [_with_unknown_images(one) for one in value]
        case _:
            return value


def as_planned(resource: PolicyResource | ResourceValidationArgs) -> PlannedResource:
    """Return a resource of Pulumi's as the rules see it."""
    properties = plain(resource.props)
    if resource.resource_type == RELEASE:
        properties = _with_unknown_images(properties)
    # While a cluster's kubeconfig is unknown, Pulumi hands over its objects without any property.
    unknown = not properties and resource.resource_type.startswith("kubernetes:")
    return PlannedResource(
        urn=resource.urn,
        type=resource.resource_type,
        name=resource.name,
        properties=UNKNOWN if unknown else properties,
        dependencies=tuple(one.urn for one in getattr(resource, "dependencies", ())),
        protect=bool(resource.opts.protect),
        default_tags=default_tags(plain(resource.provider.props)) if resource.provider else {},
    )


def context_of(urn: str) -> Context:
    """Return the context of a resource of a preview, in which neither prices nor marks on secrets are known."""
    environment = urn.partition("::")[0].rpartition(":")[2]
    return Context(environment=environment, today=date.today(), marks_secrets=False)  # noqa: DTZ011  as people count


def as_policies(rule: Rule, exemptions: Sequence[Exemption]) -> list[Policy]:
    """Return a rule as Pulumi policies, one for each level that it may have."""
    return [_as_policy(rule, level, exemptions) for level in sorted(rule.levels, reverse=True)]


def _as_policy(rule: Rule, level: Level, exemptions: Sequence[Exemption]) -> Policy:
    def judged(
        args: ResourceValidationArgs | StackValidationArgs,
        resources: Sequence[PolicyResource | ResourceValidationArgs],
    ) -> list[Violation]:
        context = context_of(resources[0].urn if resources else "")
        if rule.level_in(context.environment) is not level:
            args.not_applicable(f"in {context.environment or 'an empty stack'} the rule has another level")
        if rule.offline_only_reason:
            args.not_applicable(rule.offline_only_reason)
        judgement = judge([rule], [[as_planned(one) for one in resources]], context, exemptions)
        return [one for one in (*judgement.violations, *judgement.advisories) if one.rule == rule.name]

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for violation in judged(args, [args]):
            report(violation.message, None)

    def validate_stack(args: StackValidationArgs, report: ReportViolation) -> None:
        for violation in judged(args, args.resources):
            report(violation.message, violation.urn)

    name = rule.name if len(rule.levels) == 1 or level is Level.MANDATORY else f"{rule.name}-{level}"
    enforcement = EnforcementLevel(level.value)
    if rule.whole_plan:
        return StackValidationPolicy(
            name=name, description=rule.description, validate=validate_stack, enforcement_level=enforcement
        )
    return ResourceValidationPolicy(
        name=name, description=rule.description, validate=validate, enforcement_level=enforcement
    )


def exemptions_policy(exemptions: Sequence[Exemption]) -> StackValidationPolicy:
    """Return the policy that refuses expired exemptions."""

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for violation in expired(exemptions, context_of(args.resources[0].urn if args.resources else "")):
            report(violation.message, None)

    return StackValidationPolicy(
        name=EXEMPTIONS,
        description="Every exemption of policies/exemptions.yaml is still valid.",
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
    )


def policies(exemptions: Sequence[Exemption]) -> list[Policy]:
    """Return all policies of the pack."""
    return [exemptions_policy(exemptions), *(policy for rule in RULES for policy in as_policies(rule, exemptions))]


if __name__ == "__main__":
    try:
        committed = load({rule.name for rule in RULES})
    except ExemptionsError as error:
        sys.exit(str(error))
    PolicyPack(name="ml-platform", policies=policies(committed))

"""The findings of rules in plans, by level, with exemptions applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from policies.rules.exemptions import Exemption
from policies.rules.model import Context, Level, Plan, Rule, Violation

EXEMPTIONS = "exemptions"
"""Name under which findings about exemptions are reported."""


@dataclass(frozen=True, kw_only=True)
class Exempted:
    """A violation that an exemption permits."""

    violation: Violation
    exemption: Exemption


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The findings: mandatory and advisory violations, and exempt ones, each ordered by rule and resource."""

    violations: tuple[Violation, ...]
    advisories: tuple[Violation, ...]
    exempted: tuple[Exempted, ...]


def judge(
    rules: Iterable[Rule], plans: Sequence[Plan], context: Context, exemptions: Sequence[Exemption] = ()
) -> Judgement:
    """Apply `rules` to each plan; a plan is one program's, as Pulumi runs them.

    An expired exemption permits nothing and is itself a violation; an unused one is reported as advice.
    """
    rules = list(rules)
    found: set[Violation] = set()
    exempted: dict[Violation, Exemption] = {}
    valid = [one for one in exemptions if one.applies_in(context.environment) and not one.is_expired(context.today)]
    for rule, plan in ((rule, plan) for rule in rules for plan in plans):
        level = rule.level_in(context.environment)
        if level is Level.OFF:
            continue
        for resource, message in rule.check(plan, context):
            violation = Violation(rule=rule.name, level=level, urn=resource.urn, message=message)
            exemption = next((one for one in valid if one.covers(rule.name, resource)), None)
            if exemption:
                exempted[violation] = exemption
            else:
                found.add(violation)
    active = {rule.name for rule in rules if rule.level_in(context.environment) is not Level.OFF}
    found |= {*expired(exemptions, context), *_unused(valid, exempted.values(), active)}
    return Judgement(
        violations=_in_order(found, Level.MANDATORY),
        advisories=_in_order(found, Level.ADVISORY),
        exempted=tuple(Exempted(violation=one, exemption=exempted[one]) for one in sorted(exempted, key=_order)),
    )


def expired(exemptions: Iterable[Exemption], context: Context) -> Iterator[Violation]:
    """Yield a violation for each expired exemption."""
    for one in exemptions:
        if one.applies_in(context.environment) and one.is_expired(context.today):
            message = (
                f"the exemption of {one.resource} from {one.rule} ended on {one.until}; fix the resource and delete "
                f"the exemption, or give it a later day (its reason: {one.reason})"
            )
            yield Violation(rule=EXEMPTIONS, level=Level.MANDATORY, urn="", message=message)


def _unused(valid: Iterable[Exemption], used: Iterable[Exemption], active: set[str]) -> Iterator[Violation]:
    used = list(used)
    for one in valid:
        if one.rule in active and one not in used:
            message = f"the exemption of {one.resource} from {one.rule} is not needed; delete it"
            yield Violation(rule=EXEMPTIONS, level=Level.ADVISORY, urn="", message=message)


def _order(violation: Violation) -> tuple[str, str, str]:
    return violation.rule, violation.urn, violation.message


def _in_order(found: Iterable[Violation], level: Level) -> tuple[Violation, ...]:
    return tuple(sorted((one for one in found if one.level is level), key=_order))

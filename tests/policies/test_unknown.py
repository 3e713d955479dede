"""What no preview can know is neither there nor absent: no rule reported of it."""

from dataclasses import replace
from datetime import date

import pytest

from mlp.review.policy.verdict import as_planned
from policies.rules import RULES
from policies.rules.exemptions import load
from policies.rules.judging import judge
from policies.rules.model import UNKNOWN
from tests.builders import planned
from tests.policies.builders import RULE, context, messages, resource

EXEMPTIONS = load(set(RULE))
WHOLE_PLAN = {rule.name for rule in RULES if rule.whole_plan}


def plans(stack):
    return [as_planned(deployment) for deployment in planned(stack)]


def everything_unknown(one):
    return replace(one, properties=UNKNOWN)


def every_value_unknown(one):
    return replace(one, properties=dict.fromkeys(one.properties, UNKNOWN))


def the_cluster_unknown(one):
    return everything_unknown(one) if one.type.startswith("kubernetes:") else one


@pytest.mark.parametrize("unknown", [everything_unknown, every_value_unknown, the_cluster_unknown])
@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_committed_stack_of_which_much_is_unknown_breaks_no_rule(stack, unknown):
    changed = [[unknown(one) for one in plan] for plan in plans(stack)]
    asked = context(environment=stack, today=date(2026, 11, 21), marks_secrets=False)
    assert judge(RULES, changed, asked, EXEMPTIONS).violations == ()


@pytest.mark.parametrize("rule", [rule for rule in RULES if not rule.whole_plan], ids=lambda rule: rule.name)
def test_a_rule_of_single_resources_says_the_same_of_each_by_itself(rule):
    plan = [one for stack in ("dev", "prod") for part in plans(stack) for one in part]
    bare = [replace(one, properties={}, protect=False, default_tags={}) for one in plan]
    asked = context(marks_secrets=False)
    for variant in (plan, bare):
        whole = sorted((one.urn, message) for one, message in rule.check(variant, asked))
        assert whole == sorted((one.urn, message) for each in variant for one, message in rule.check([each], asked))


def test_the_rules_of_presence_need_the_whole_plan():
    assert {
        "buckets-encrypted",
        "buckets-over-tls",
        "buckets-versioned",
        "gpu-pools-on-spot",
        "no-open-ingress",
        "no-public-bucket",
        "within-budget",
    } == WHOLE_PLAN


def test_a_disk_is_judged_when_it_is_known_whether_it_is_encrypted():
    volume = resource("aws:ebs/volume:Volume", {"encrypted": UNKNOWN})
    assert messages("volumes-encrypted", volume) == []
    assert messages("volumes-encrypted", replace(volume, properties={"encrypted": False}))
    assert not RULE["volumes-encrypted"].whole_plan

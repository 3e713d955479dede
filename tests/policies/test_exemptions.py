from datetime import date

import pytest

from policies.rules.exemptions import Exemption, ExemptionsError, load
from policies.rules.judging import judge
from policies.rules.model import Level, Rule
from tests.policies.builders import TODAY, context, resource

VPC = resource("aws:ec2/vpc:Vpc", name="network")
OTHER = resource("aws:ec2/vpc:Vpc", name="other")


def rule(name="no-vpc", **changes):
    check = lambda plan, context: [(one, f"{one.name} is there") for one in plan]  # noqa: E731  one line says it
    return Rule(name=name, description="There is nothing.", check=check, **changes)


def exemption(**changes):
    given = {"rule": "no-vpc", "type": VPC.type, "name": "network", "reason": "It is needed.", "until": TODAY}
    return Exemption(**{**given, **changes})


def judged(*exemptions, rules=None, plans=((VPC,),), **known):
    return judge(rules or [rule()], plans, context(**known), exemptions)


def messages(violations):
    return [one.message for one in violations]


@pytest.mark.parametrize(
    ("level", "level_overrides", "environment", "found"),
    [
        (Level.MANDATORY, {}, "prod", ([1], [])),
        (Level.MANDATORY, {"dev": Level.ADVISORY}, "dev", ([], [1])),
        (Level.MANDATORY, {"dev": Level.OFF}, "dev", ([], [])),
        (Level.MANDATORY, {"dev": Level.OFF}, "an environment of mine", ([1], [])),
        (Level.ADVISORY, {}, "prod", ([], [1])),
    ],
)
def test_a_rule_has_the_level_of_its_environment(level, level_overrides, environment, found):
    judgement = judged(rules=[rule(level=level, level_overrides=level_overrides)], environment=environment)
    assert ([1 for _ in judgement.violations], [1 for _ in judgement.advisories]) == found


def test_findings_are_ordered_by_rule_and_resource_and_reported_once():
    judgement = judged(rules=[rule("b"), rule("a")], plans=[(OTHER, VPC), (VPC,)])
    assert [(one.rule, one.message) for one in judgement.violations] == [
        ("a", "network is there"),
        ("a", "other is there"),
        ("b", "network is there"),
        ("b", "other is there"),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"environments": ("dev", "prod")},
        {"type": None, "name": None, "urn": VPC.urn},
        {"type": None, "name": None, "urn": "urn:pulumi:*::ml-platform::*::network"},
    ],
    ids=["type and name", "environment", "urn", "pattern"],
)
def test_an_exemption_lets_its_resource_pass_through_its_last_day(changes):
    judgement = judged(exemption(**changes), plans=[(VPC, OTHER)])
    assert messages(judgement.violations) == ["other is there"]
    assert [one.violation.message for one in judgement.exempted] == ["network is there"]
    assert judgement.advisories == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "networks"},
        {"type": "aws:ec2/vpc:VPC"},
        {"type": None, "name": None, "urn": "urn:pulumi:dev::*::network"},
    ],
)
def test_an_exemption_that_covers_nothing_is_advised_against(changes):
    unneeded = exemption(**changes)
    judgement = judged(unneeded)
    assert messages(judgement.violations) == ["network is there"]
    assert messages(judgement.advisories) == [
        f"the exemption of {unneeded.resource} from no-vpc is not needed; delete it"
    ]


OVER = (
    "the exemption of aws:ec2/vpc:Vpc network from no-vpc ended on 2026-11-20; fix the resource and delete the "
    "exemption, or give it a later day (its reason: It is needed.)"
)


def test_an_exemption_whose_day_has_passed_covers_nothing_and_is_itself_a_violation():
    judgement = judged(exemption(until=date(2026, 11, 20)))
    assert messages(judgement.violations) == [
        OVER,
        "network is there",
    ]
    assert {one.rule for one in judgement.violations} == {"exemptions", "no-vpc"}


@pytest.mark.parametrize(
    ("level_overrides", "environments"),
    [({}, ("dev",)), ({"prod": Level.OFF}, ())],
    ids=["another environment's", "of a rule that is not asked"],
)
def test_an_exemption_of_another_environment_is_not_reported(level_overrides, environments):
    judgement = judged(exemption(environments=environments), rules=[rule(level_overrides=level_overrides)], plans=[()])
    assert (judgement.violations, judgement.advisories) == ((), ())
    over = judged(exemption(environments=("dev",), until=date(2020, 1, 1)), plans=[()])
    assert over.violations == ()


GOOD = """
exemptions:
  - rule: no-vpc
    type: aws:ec2/vpc:Vpc
    name: network
    reason: Nothing works
      without it, for now.
    until: 2027-01-31
  - {rule: no-vpc, urn: "urn:pulumi:*::other", environments: [dev], reason: For the same reasons., until: 2027-02-01}
"""


def loaded(tmp_path, text):
    path = tmp_path / "exemptions.yaml"
    path.write_text(text)
    return load({"no-vpc"}, path)


def test_a_file_is_read_whole(tmp_path):
    first, second = loaded(tmp_path, GOOD)
    assert first == exemption(reason="Nothing works without it, for now.", until=date(2027, 1, 31))
    assert (second.resource, second.environments) == ("urn:pulumi:*::other", ("dev",))
    assert loaded(tmp_path, "exemptions: []") == ()


def test_all_faults_of_a_file_are_reported_at_once(tmp_path):
    text = """
    exemptions:
      - {rule: no-vcp, type: aws:ec2/vpc:Vpc, name: network, until: soon}
      - {rule: no-vpc, urn: "urn:pulumi:*::*", reason: because, until: 2027, environments: dev, who: me}
      - {rule: no-vpc, type: "", reason: It is needed for everything., until: 2027-01-01}
      - {rule: [], urn: 7, name: x, reason: It is needed for everything., until: 2027-01-01}
      - no-vpc
    """
    with pytest.raises(ExemptionsError) as raised:
        loaded(tmp_path, text)
    assert str(raised.value).splitlines() == [
        "exemptions.yaml has 14 faults, and nothing is checked until they are fixed:",
        "  exemptions[0].rule: there is no rule 'no-vcp'; `mlp policies` lists them",
        "  exemptions[0].reason: explain in 20 characters or more why this is right (got None)",
        "  exemptions[0].until: must be the last day on which it holds, as YYYY-MM-DD (got 'soon')",
        "  exemptions[1].who: unknown; the keys are environments, name, reason, rule, type, until, urn",
        "  exemptions[1].urn: must end in a resource's name, or it would switch the rule off (got 'urn:pulumi:*::*')",
        "  exemptions[1].reason: explain in 20 characters or more why this is right (got 'because')",
        "  exemptions[1].until: must be the last day on which it holds, as YYYY-MM-DD (got 2027)",
        "  exemptions[1].environments: must be a list of names of stacks (got 'dev')",
        "  exemptions[2].resource: name it by `type` and `name`, or by `urn` (got type)",
        "  exemptions[2].type: must be text (got '')",
        "  exemptions[3].rule: there is no rule []; `mlp policies` lists them",
        "  exemptions[3].resource: name it by `type` and `name`, or by `urn` (got name, urn)",
        "  exemptions[3].urn: must be text (got 7)",
        "  exemptions[4]: must be a mapping (got 'no-vpc')",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exemptions: [", "exemptions.yaml is not valid YAML: "),
        ("", "exemptions.yaml must hold one list, `exemptions`"),
        ("exemptions: {}", "exemptions.yaml must hold one list, `exemptions`"),
        ("exemptions: []\nrules: []", "exemptions.yaml must hold one list, `exemptions`"),
        (
            "exemptions: [{rule: no-vpc, name: a, type: b, reason: Nothing works without it., until: x}]",
            "has 1 fault, and",
        ),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, text, message):
    with pytest.raises(ExemptionsError, match=message):
        loaded(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ExemptionsError, match=r"nowhere\.yaml cannot be read"):
        load({"no-vpc"}, tmp_path / "nowhere.yaml")

"""No change to the programs loses what holds data: it stays, has an alias, or is let go by name and with a reason.

`holding_data.yaml` has what versions of this repository made of the kind, as production with Airflow has it.
"""

from pathlib import Path

import pytest

from mlp.charts import yaml_text
from mlp.engine.types import forcing, precious
from mlp.engine.values import revealed
from tests.builders import planned_with_airflow

FILE = Path(__file__).parent / "holding_data.yaml"
BASELINE = yaml_text.mapping(FILE.read_text())
ALSO = {
    "aws:cloudwatch/logGroup:LogGroup": "what was logged",
    "random:index/randomPassword:RandomPassword": "a password that others have, or a key that data is written with",
}
"""Types that hold data and that a change may replace on purpose, so that a plan does not warn of them."""


def made():
    """The resources that hold data, without the stack in their URNs: what they were called before, and their inputs."""
    return {
        short(one.wanted.urn): (
            {short(urn) for urn in one.wanted.aliases},
            forced(one.wanted.type, revealed(one.wanted.inputs)),
        )
        for deployment in planned_with_airflow("prod")
        for one in deployment.resources.values()
        if precious(one.wanted.type) or one.wanted.type in ALSO
    }


def short(urn):
    return urn.removeprefix("urn:pulumi:prod::")


def forced(type_, inputs):
    found: dict[str, object] = {}
    rules = forcing(type_)
    for path in rules.paths if rules else ():
        value = inputs
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            found[".".join(path)] = value
    return found


@pytest.fixture(scope="module")
def now():
    return made()


def test_what_an_earlier_version_made_is_still_there_or_was_let_go_with_a_reason(now):
    former = {urn: new for new, (aliases, _) in now.items() for urn in {new, *aliases}}
    lost = set(BASELINE["kept"]) - set(former)
    assert lost == set(), f"give what moved an alias, or move the line to `let_go` of {FILE.name} with the reason"
    replaced = {
        urn: (kept, now[former[urn]][1]) for urn, kept in BASELINE["kept"].items() if now[former[urn]][1] != kept
    }
    assert replaced == {}, "another value makes another resource, and what this one holds is gone"


def test_what_holds_data_now_is_known_to_later_versions(now):
    new = {urn: inputs for urn, (_, inputs) in now.items() if urn not in BASELINE["kept"]}
    assert new == {}, f"add it to `kept` of {FILE.name}"


def test_what_was_let_go_is_gone_and_says_why(now):
    assert not set(BASELINE["let_go"]) & {*now, *BASELINE["kept"]}
    assert all(len(reason) > 20 for reason in BASELINE["let_go"].values())

"""What a reviewer sees of a change: as Markdown, at a terminal and as data."""

import io
import json
import re

import pytest
from rich.console import Console

from mlp.plan.planned import program_plan
from mlp.review import sample
from mlp.review.changes.comparison import changes_sections, comparison
from mlp.review.report import LIMIT, Section, code, markdown, rendered, table
from mlp.review.review import headline
from mlp.shared.documents import with_part
from tests.builders import planned
from tests.mlp.review.changes.builders import BUCKET, DATABASE, ROLE, SUBNET, VPC, plan_of, resource

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


def compared(old, new):
    return comparison("main", [plan_of(*old)], [plan_of(*new)])


def as_markdown(change, **options):
    return markdown(*headline("prod", change), changes_sections(change), **options)


def as_terminal(change):
    file = io.StringIO()
    Console(file=file, width=200).print(rendered(*headline("prod", change), changes_sections(change)))
    return file.getvalue()


@pytest.fixture
def change():
    vpc = resource(VPC, "vpc", {"cidrBlock": "10.0.0.0/16"}, id_="vpc-0a1b")
    subnet = resource(SUBNET, "subnet", {"vpcId": "vpc-0a1b"}, needs=(vpc,))
    database = resource(DATABASE, "db", {"multiAz": True, "deletionProtection": True})
    other = resource(VPC, "vpc", {"cidrBlock": "10.1.0.0/16"}, id_="vpc-0a1b")
    return compared(
        (vpc, subnet, database, resource(ROLE, "old")),
        (other, subnet, resource(DATABASE, "db", {"multiAz": False}), resource(BUCKET, "new")),
    )


def test_the_counts_are_the_first_line(change):
    assert as_markdown(change).splitlines()[0] == (
        "**Plan of prod against main**: 1 created, 2 replaced, 1 changed, 1 deleted"
    )


def test_dangers_come_before_all_else_and_are_not_folded(change):
    text = as_markdown(change)
    dangers, rest = text.split("<details>", 1)
    assert "[!CAUTION]" in dangers
    assert "`vpc` (aws ec2 Vpc): `the network that everything is in is replaced, because of cidrBlock`" in dangers
    assert "`db` (aws rds Instance): `deletion protection is turned off`" in dangers
    assert "[!CAUTION]" not in rest


def test_every_change_is_in_the_markdown_and_at_the_terminal(change):
    for text in (as_markdown(change), as_terminal(change)):
        for expected in ("cidrBlock", "10.0.0.0/16", "10.1.0.0/16", "multiAz", "vpcId (vpc is replaced)"):
            assert expected in text
        for name in ("vpc", "subnet", "db", "old", "new"):
            assert re.search(rf"\b{name}\b", text)


def test_the_same_is_there_as_data(change):
    data = json.loads(json.dumps(change.as_data()))
    assert data["changes"]["against"] == "main"
    assert data["changes"]["programs"]["platform"]["counts"] == {
        "created": 1, "replaced": 2, "changed": 1, "deleted": 1,
    }  # fmt: skip
    by_name = {one["name"]: one for one in data["changes"]["programs"]["platform"]["resources"]}
    assert by_name["vpc"]["fields"] == [{"path": "cidrBlock", "old": "10.0.0.0/16", "new": "10.1.0.0/16"}]
    assert by_name["vpc"]["forced_by"] == ["cidrBlock"]
    assert by_name["db"]["fields"][0] == {"path": "deletionProtection", "old": True}
    assert by_name["new"] == {
        "change": "created", "moved": False, "name": "new", "type": BUCKET, "urn": by_name["new"]["urn"],
    }  # fmt: skip
    assert {(one["name"], one["kind"]) for one in data["dangers"]} == {("vpc", "lost"), ("db", "unprotected")}


def test_no_change_is_reported_in_two_lines():
    same = compared((resource(VPC, "vpc"),), (resource(VPC, "vpc"),))
    assert as_markdown(same) == (
        "**Plan of prod against main**: 0 created, 0 replaced, 0 changed, 0 deleted\n\n**Platform**: no change\n"
    )


def test_without_a_plan_to_compare_with_the_report_says_what_to_do():
    assert headline("dev", None)[1] == ("there is no committed plan to compare with; `mlp snapshot dev` writes one")


def test_a_moved_resource_is_marked_on_both_sides():
    old, new = resource(BUCKET, "data"), resource(BUCKET, "data", below=resource("a:b:C", "parent").urn)
    text = as_markdown(compared((old,), (new,)))
    assert text.count("moved: the other half is") == 2
    assert "it moved, and no alias says so" in text
    assert text.splitlines()[0].endswith(
        "1 created, 0 replaced, 0 changed, 1 deleted (1 deleted here and created there)"
    )


@pytest.mark.parametrize("count", [1, 500, 5000])
def test_a_change_of_any_size_fits_a_comment(count):
    def everything(value):
        return [resource(CONFIG_MAP, f"config-{number}", {"data": {"x": value * 30}}) for number in range(count)]

    gone = [resource(BUCKET, f"bucket-{number}") for number in range(count)]
    made = [resource(ROLE, f"role-{number}") for number in range(count)]
    text = as_markdown(compared([*everything("old"), *gone], [*everything("new"), *made]))
    assert len(text) <= LIMIT
    assert text.splitlines()[0].endswith(f"{count} created, {count} replaced, 0 changed, {count} deleted")
    assert text.count("<details>") == text.count("</details>") == 1
    assert ("Cut to the length of a comment" in text) == (count > 1)
    if count > 1:
        assert len(text) > LIMIT * 0.9, "what fits is shown"
        assert "`bucket-0`" in text, "dangers first"


def test_what_is_cut_is_named():
    sections = [
        Section(title="Price", summary="12 USD more", body=("a" * 300, "b" * 900)),
        Section(title="X", summary="y"),
    ]
    text = markdown("Plan", "small", sections, limit=1200)
    assert len(text) <= 1200
    assert "Cut to the length of a comment: Price (1 of 2 parts)." in text
    assert "**X**: y" in text, "every summary stays"


def test_a_section_that_may_not_be_overlooked_is_the_last_to_be_cut():
    sections = [
        Section(title="Long", summary="s", body=("a" * 500,)),
        Section(title="Danger", summary="s", body=("d" * 500,), unfolded=True),
    ]
    text = markdown("Plan", "small", sections, limit=1100)
    assert "d" * 500 in text
    assert "a" * 500 not in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "`plain`"),
        ("a|b", "`a\\|b`"),
        ("two\nlines", "`two lines`"),
        ("a`b", "`` a`b ``"),
        ("", "(empty)"),
        ("x" * 300, f"`{'x' * 199}…`"),
        ("</details><script>", "`</details><script>`"),
    ],
    ids=["plain", "pipe", "lines", "backtick", "empty", "long", "html"],
)
def test_a_value_cannot_break_out_of_its_cell(value, shown):
    assert code(value) == shown


def test_a_table_is_in_pieces_that_can_be_cut():
    pieces = table(("a", "b"), [(str(number), "x") for number in range(100)], rows_a_piece=40)
    assert [piece.count("\n") for piece in pieces] == [41, 41, 21]
    assert all(piece.startswith("| a | b |\n| --- | --- |\n") for piece in pieces)


def test_a_change_within_a_script_is_shown_by_its_lines():
    script = "\n".join(f"line {number}" for number in range(50))
    old, new = (
        resource(CONFIG_MAP, "c", {"data": {"run": text}})
        for text in (script, script.replace("line 7\n", "line ~~~~~~ 7\n"))
    )
    text = as_markdown(compared((old,), (new,)))
    assert "-line 7" in text
    assert "line 30" not in text
    assert text.count("~~~~~~") == 2, "nothing in a text ends its block"


def test_secrets_are_in_no_report():
    plans = [program_plan(one) for one in planned("dev")]
    everything = comparison("main", [plan_of()], plans)
    secrets = [
        one.created.outputs["result"].value
        for deployment in planned("dev")
        for one in deployment.of_type("random:index/randomPassword:RandomPassword")
        if one.created
    ]
    texts = as_markdown(everything, limit=10**7) + as_terminal(everything) + json.dumps(everything.as_data())
    assert secrets
    assert not [one for one in secrets if one in texts]


def test_the_example_in_the_documentation_is_current():
    plans = [program_plan(one) for one in planned("prod")]
    document = sample.DOCUMENT.read_text()
    current = with_part(document, sample.MARKS, sample.sample(plans), name=sample.DOCUMENT.name)
    assert document == current, "run: .venv/bin/mlp snapshot prod"

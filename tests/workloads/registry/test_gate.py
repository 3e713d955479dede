from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workloads.errors import RegistryError
from workloads.registry.gate import INSUFFICIENT, PROMOTE, REFUSE, Decision, Evidence, Incumbent, decide
from workloads.registry.rules import DEFAULT, Rules, read_rules

NUM_IMAGES = 10_000
LINEAGE = {"data_version": "d", "code_version": "c", "image_digest": ""}


def is_correct(*, wrong: slice | list[int]) -> np.ndarray:
    answers = np.ones(NUM_IMAGES, dtype=bool)
    answers[wrong] = False
    return answers


PRODUCTION = is_correct(wrong=slice(0, 1000))
LABELS = np.arange(NUM_IMAGES) % 10


def evidence(correct_n: np.ndarray = PRODUCTION, **others: object) -> Evidence:
    known = Evidence(
        class_names=tuple("abcdefghij"),
        labels_n=LABELS,
        correct_n=correct_n,
        calibration_error=0.02,
        latency_ms=3.0,
        size_mib=1.0,
        lineage=LINEAGE,
        incumbent=Incumbent(number=4, correct_n=PRODUCTION),
    )
    return replace(known, **others)  # type: ignore[arg-type]  # what a test changes


def rules(**values: object) -> Rules:
    return Rules.model_validate(values)


def outcome_of(decision: Decision, rule: str) -> str:
    [check] = [check for check in decision.checks if check.rule == rule]
    return f"{check.outcome}: {check.said}"


def test_the_committed_rules_promote_a_model_as_good_as_that_in_production():
    decision = decide(read_rules(DEFAULT, "production"), evidence())
    assert decision.verdict == PROMOTE
    assert {check.rule for check in decision.checks} == {
        "minimum_accuracy", "maximum_calibration_error", "maximum_latency_ms", "maximum_size_mib",
        "lineage.data_version", "lineage.code_version", "signature", "margin", "slice_margin",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "allowed", "forbidden", "message"),
    [
        ("minimum_accuracy", 0.9, 0.901, "test accuracy 0.9000; the minimum is 0.901"),
        ("maximum_calibration_error", 0.02, 0.019, "calibration error 0.02; the maximum is 0.019"),
        ("maximum_latency_ms", 3, 2.9, "median latency of one image 3 ms; the maximum is 2.9 ms"),
        ("maximum_size_mib", 1, 0.5, "size 1 MiB; the maximum is 0.5 MiB"),
    ],
)
def test_a_limit_is_kept_to_the_number(rule: str, allowed: float, forbidden: float, message: str):
    assert decide(rules(**{rule: allowed}), evidence()).verdict == PROMOTE
    decision = decide(rules(**{rule: forbidden}), evidence())
    assert decision.verdict == REFUSE
    assert outcome_of(decision, rule) == f"failed: {message}"


@pytest.mark.parametrize(
    ("key", "lineage", "passes"),
    [
        ("data_version", {}, True),
        ("image_digest", {}, False),
        ("image_digest", {"image_digest": "sha256:1"}, True),
        ("code_version", {"code_version": ""}, False),
        ("code_version", {"code_version": "1a-dirty"}, True),
        ("committed_code", {"code_version": "1a-dirty"}, False),
        ("committed_code", {"code_version": ""}, False),
        ("committed_code", {}, True),
    ],
)
def test_lineage_is_complete_by_setting(key: str, lineage: dict[str, str], passes: bool):
    decision = decide(rules(lineage=[key]), evidence(lineage=LINEAGE | lineage))
    assert (decision.verdict == PROMOTE) == passes
    assert f"lineage.{key}" in str(decision.checks[0])


def test_a_model_that_lost_more_than_the_margin_for_certain_is_refused():
    decision = decide(rules(margin=0.005), evidence(is_correct(wrong=slice(0, 1200))))
    assert decision.verdict == REFUSE
    assert "-2.00 points of accuracy against version 4" in outcome_of(decision, "margin")


def test_a_difference_that_may_or_may_not_be_the_margin_is_undecided_and_says_how_many_images_would_do():
    worse_on, better_on = slice(1000, 1500), slice(0, 500)
    answers = PRODUCTION.copy()
    answers[worse_on], answers[better_on] = False, True
    decision = decide(rules(margin=0.005), evidence(answers))
    assert decision.verdict == INSUFFICIENT
    assert "about 25,129 test images would show it, there are 10,000" in outcome_of(decision, "margin")
    assert decide(rules(margin=0.02), evidence(answers)).verdict == PROMOTE


def test_where_more_images_would_not_help_that_is_said():
    answers = PRODUCTION.copy()
    answers[1000:1255], answers[:200] = False, True
    decision = decide(rules(margin=0.005), evidence(answers))
    assert decision.verdict == INSUFFICIENT
    assert "more test images would only show that it is worse" in outcome_of(decision, "margin")


def test_what_fails_counts_more_than_what_is_undecided():
    answers = PRODUCTION.copy()
    answers[1000:1500], answers[:500] = False, True
    assert decide(rules(margin=0.005, maximum_size_mib=0.5), evidence(answers)).verdict == REFUSE


def test_a_model_that_pays_for_the_others_with_one_class_is_refused():
    answers = PRODUCTION.copy()
    answers[np.flatnonzero((LABELS == 2) & PRODUCTION)[:100]] = False
    answers[np.flatnonzero((LABELS != 2) & ~PRODUCTION)[:200]] = True
    decision = decide(rules(margin=0.005, slice_margin=0.02), evidence(answers))
    assert outcome_of(decision, "margin").startswith("passed: +1.00 points")
    assert "class c -10.00 points on 1,000 images" in outcome_of(decision, "slice_margin")
    assert decision.verdict == REFUSE


def test_a_loss_that_one_class_in_ten_has_by_chance_does_not_refuse():
    answers = PRODUCTION.copy()
    # By itself p is 0.02: too little among ten classes and a slice.
    answers[np.flatnonzero((LABELS == 2) & PRODUCTION)[:32]] = False
    assert decide(rules(slice_margin=0.02), evidence(answers)).verdict == PROMOTE


def test_a_slice_is_looked_at_as_a_whole():
    answers = PRODUCTION.copy()
    for label in (0, 1, 2):
        answers[np.flatnonzero((label == LABELS) & PRODUCTION)[:31]] = False
    asked = {"slice_margin": 0.02}
    assert decide(rules(**asked), evidence(answers)).verdict == PROMOTE
    decision = decide(rules(**asked, slices={"vowels and b": ["a", "b", "c"]}), evidence(answers))
    assert "slice vowels and b -3.10 points on 3,000 images" in outcome_of(decision, "slice_margin")


def test_a_class_without_images_is_left_out():
    known = evidence(class_names=tuple("abcdefghijk"))
    assert [group.name for group in decide(rules(slice_margin=0.02), known).groups] == [
        f"class {name}" for name in "abcdefghij"
    ]


def test_a_slice_of_unknown_classes_is_named():
    with pytest.raises(RegistryError, match=r"does not have: x, y; it has a, b"):
        decide(rules(slice_margin=0.1, slices={"s": ["a", "y", "x"]}), evidence())


def test_the_first_promotion_has_nothing_to_compare_with_and_says_so():
    decision = decide(rules(margin=0.005, slice_margin=0.02), evidence(incumbent=None))
    assert decision.verdict == PROMOTE
    assert outcome_of(decision, "margin") == "skipped: no version is in production to compare with"


def test_a_model_that_cannot_take_the_place_of_the_other_is_refused():
    incumbent = Incumbent(number=4, incompatibility="its classes are other ones")
    decision = decide(rules(margin=0.005), evidence(incumbent=incumbent))
    assert decision.verdict == REFUSE
    assert outcome_of(decision, "signature") == "failed: cannot take the place of version 4: its classes are other ones"


def test_every_fault_of_a_rules_file_is_told_at_once(tmp_path: Path):
    path = tmp_path / "rules.yaml"
    path.write_text(
        "production:\n  minimum_accuracy: 90\n  margn: 0.01\n  margin: true\n  lineage: [data_version, author]\n"
        "  slices: {shoes: []}\nshadow: {}\n"
    )
    with pytest.raises(RegistryError) as caught:
        read_rules(path, "production")
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path} cannot be used until 6 rules are corrected:"
    assert "  production.minimum_accuracy: Input should be less than or equal to 1 (got 90)" in lines
    for key in ("margn", "margin", "lineage.1", "slices.shoes"):
        assert any(line.startswith(f"  production.{key}: ") for line in lines)
    assert any(line.startswith("  shadow: ") for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("staging: {}", "has no rules for production; give it a section `production:`"),
        ("", "has no rules for production"),
        ("[1]", "file: Input should be a valid dictionary"),
        ("production: [", "not yaml: "),
        ("production: {slices: {s: [a]}}", "production: slices need slice_margin"),
        (None, "No file "),
    ],
)
def test_a_file_without_rules_says_what_it_needs(tmp_path: Path, text: str | None, message: str):
    path = tmp_path / "rules.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RegistryError) as caught:
        read_rules(path, "production")
    assert message in str(caught.value)

"""The decision whether a version may be promoted, from its evidence and the rules, without a server.

Only the rule `margin` carries the burden of proof: it passes where the loss against production is shown to be below the
margin. Classes and slices, with too few images each for such a proof, fail where a larger loss is shown.

Shapes: n test images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.errors import RegistryError
from workloads.registry.paired import CONFIDENCE, Pairs, holm
from workloads.registry.rules import Rules

PROMOTE, REFUSE, INSUFFICIENT = "promote", "refuse", "insufficient evidence"
PASSED, FAILED, UNDECIDED, SKIPPED = "passed", "failed", "undecided", "skipped"
SHOWN_GROUPS = 3
"""Most failing groups that a message names; the verdict has all."""


@dataclass(frozen=True, kw_only=True)
class Incumbent:
    """The version in production, evaluated on the same images."""

    number: int
    correct_n: NDArray[np.bool_] | None = None
    """bool [N]: whether each of its predictions is correct; None if it could not be evaluated."""
    incompatibility: str | None = None
    """Why the candidate cannot replace it, or why it could not be evaluated."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The facts about a candidate that rules are applied to."""

    class_names: tuple[str, ...]
    labels_n: NDArray[np.int64]
    """int64 [N]: labels of the test images."""
    correct_n: NDArray[np.bool_]
    """bool [N]: whether each prediction is correct."""
    calibration_error: float
    """Expected calibration error, 0 to 1."""
    latency_ms: float
    """Median latency of one image, in milliseconds."""
    size_mib: float
    """Size of parameters and buffers, in MiB."""
    lineage: Mapping[str, str]
    """Values of `data_version`, `code_version` and `image_digest`; empty where unknown."""
    incumbent: Incumbent | None

    @property
    def accuracy(self) -> float:
        """Accuracy on the test images, 0 to 1."""
        return float(self.correct_n.mean())

    def pairs(self) -> Pairs | None:
        """Return the paired results of candidate and incumbent, or None if the incumbent was not evaluated."""
        if self.incumbent is None or self.incumbent.correct_n is None:
            return None
        return Pairs.of(self.correct_n, self.incumbent.correct_n)


@dataclass(frozen=True, kw_only=True)
class Check:
    """The outcome of one rule."""

    rule: str
    outcome: str
    said: str
    """What the rule found, in words."""

    def __str__(self) -> str:
        return f"{self.rule}: {self.said}"


@dataclass(frozen=True, kw_only=True)
class GroupLoss:
    """A class or slice under both models."""

    name: str
    num_images: int
    accuracy: float
    """Accuracy of the candidate in the group, 0 to 1."""
    difference: float
    """Accuracy of the candidate less that of the incumbent."""
    p_value: float
    """Probability of so large a loss if the true one were the margin, corrected for the number of groups."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The verdict, and the outcome of every rule."""

    verdict: str
    checks: tuple[Check, ...]
    groups: tuple[GroupLoss, ...]


def decide(rules: Rules, evidence: Evidence) -> Decision:
    """Apply the rules to the evidence; raise RegistryError where a slice names classes that the data set lacks."""
    groups = tuple(_groups(rules, evidence))
    checks = (
        *_candidate_checks(rules, evidence),
        *_lineage(rules, evidence),
        *_comparison_checks(rules, evidence, groups),
    )
    outcomes = {check.outcome for check in checks}
    verdict = REFUSE if FAILED in outcomes else INSUFFICIENT if UNDECIDED in outcomes else PROMOTE
    return Decision(verdict=verdict, checks=checks, groups=groups)


def _candidate_checks(rules: Rules, evidence: Evidence) -> Iterator[Check]:
    """Yield the checks of the candidate by itself."""
    accuracy, minimum = evidence.accuracy, rules.minimum_accuracy
    if minimum is not None:
        said = f"test accuracy {accuracy:.4f}; the minimum is {minimum:g}"
        yield Check(rule="minimum_accuracy", outcome=_passed(accuracy >= minimum), said=said)
    calibration, latency, size = evidence.calibration_error, evidence.latency_ms, evidence.size_mib
    for rule, limit, found, what, unit in (
        ("maximum_calibration_error", rules.maximum_calibration_error, calibration, "calibration error", ""),
        ("maximum_latency_ms", rules.maximum_latency_ms, latency, "median latency of one image", " ms"),
        ("maximum_size_mib", rules.maximum_size_mib, size, "size", " MiB"),
    ):
        if limit is not None:
            said = f"{what} {found:.4g}{unit}; the maximum is {limit:g}{unit}"
            yield Check(rule=rule, outcome=_passed(found <= limit), said=said)


def _lineage(rules: Rules, evidence: Evidence) -> Iterator[Check]:
    for key in rules.lineage:
        known = evidence.lineage.get("code_version" if key == "committed_code" else key, "")
        said, passed = known or "not recorded with its run", bool(known)
        if key == "committed_code" and known.endswith("-dirty"):
            said, passed = f"{known}: its code was not all committed", False
        yield Check(rule=f"lineage.{key}", outcome=_passed(passed), said=said)


def _comparison_checks(rules: Rules, evidence: Evidence, groups: tuple[GroupLoss, ...]) -> Iterator[Check]:
    """Yield the checks of the candidate against the version in production."""
    incumbent, pairs = evidence.incumbent, evidence.pairs()
    if incumbent is None:
        if rules.margin is not None or rules.slice_margin is not None:
            yield Check(rule="margin", outcome=SKIPPED, said="no version is in production to compare with")
        return
    if rules.margin is None and rules.slice_margin is None:
        return
    if pairs is None:
        said = f"cannot take the place of version {incumbent.number}: {incumbent.incompatibility}"
        yield Check(rule="signature", outcome=FAILED, said=said)
        return
    yield Check(rule="signature", outcome=PASSED, said=f"classes and images as of version {incumbent.number}")
    if rules.margin is not None:
        yield _margin(rules.margin, incumbent, pairs)
    if rules.slice_margin is not None:
        yield _slices(rules.slice_margin, groups)


def _margin(margin: float, incumbent: Incumbent, pairs: Pairs) -> Check:
    lower, upper = pairs.interval()
    found = (
        f"{points(pairs.difference)} points of accuracy against version {incumbent.number}, with {CONFIDENCE:.0%} "
        f"confidence above {points(lower)} and below {points(upper)}; {points(-margin)} is allowed"
    )
    if lower > -margin:
        return Check(rule="margin", outcome=PASSED, said=found)
    if upper < -margin:
        return Check(rule="margin", outcome=FAILED, said=found)
    needed = pairs.images_needed(margin)
    hint = (
        f"about {needed:,} test images would show it, there are {pairs.num_images:,}"
        if needed
        else "more test images would only show that it is worse"
    )
    return Check(rule="margin", outcome=UNDECIDED, said=f"{found}; {hint}")


def _slices(margin: float, groups: tuple[GroupLoss, ...]) -> Check:
    lost = [group for group in groups if group.p_value < 1 - CONFIDENCE]
    if not lost:
        said = f"none of {len(groups)} classes and slices certainly lost more than {100 * margin:.2f} points"
        return Check(rule="slice_margin", outcome=PASSED, said=said)
    worst = sorted(lost, key=lambda group: group.p_value)[:SHOWN_GROUPS]
    said = ", ".join(
        f"{group.name} {points(group.difference)} points on {group.num_images:,} images (p {group.p_value:.2g})"
        for group in worst
    )
    more = f" and {len(lost) - len(worst)} more" if len(lost) > len(worst) else ""
    return Check(rule="slice_margin", outcome=FAILED, said=f"{said}{more}; {points(-margin)} is allowed")


def _groups(rules: Rules, evidence: Evidence) -> Iterator[GroupLoss]:
    """Yield the classes and slices that have images."""
    unknown = sorted({name for names in rules.slices.values() for name in names} - set(evidence.class_names))
    if unknown:
        raise RegistryError(
            f"Slices name classes that the data set does not have: {', '.join(unknown)}; it has "
            f"{', '.join(evidence.class_names)}"
        )
    incumbent = evidence.incumbent
    if rules.slice_margin is None or incumbent is None or incumbent.correct_n is None:
        return
    label = {name: number for number, name in enumerate(evidence.class_names)}
    groups = {f"class {name}": [number] for name, number in label.items()}
    groups |= {f"slice {name}": [label[one] for one in names] for name, names in rules.slices.items()}
    members = {name: np.isin(evidence.labels_n, labels) for name, labels in groups.items()}
    non_empty = {name: chosen_n for name, chosen_n in members.items() if chosen_n.any()}
    pairs = [Pairs.of(evidence.correct_n[chosen_n], incumbent.correct_n[chosen_n]) for chosen_n in non_empty.values()]
    p_values = holm([one.p_value_of_loss(-rules.slice_margin) for one in pairs])
    for (name, chosen_n), one, p_value in zip(non_empty.items(), pairs, p_values, strict=True):
        yield GroupLoss(
            name=name,
            num_images=one.num_images,
            accuracy=float(evidence.correct_n[chosen_n].mean()),
            difference=one.difference,
            p_value=p_value,
        )


def points(share: float) -> str:
    """Format a difference of accuracies in percentage points."""
    return f"{100 * share:+.2f}"


def _passed(passed: bool) -> str:
    return PASSED if passed else FAILED

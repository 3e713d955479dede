"""Whether a version may be promoted: a decision from what it showed and what is asked, without a server.

One rule carries the burden of proof: `margin` passes only where the loss against production is shown to be smaller.
Classes and slices, with too few images each for such a proof, refuse where a larger loss is shown.
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
"""Of those that lost too much; the verdict has all."""


@dataclass(frozen=True, kw_only=True)
class Incumbent:
    """The version in production, asked about the same images."""

    number: int
    right_n: NDArray[np.bool_] | None = None
    why_not: str | None = None
    """Why the candidate cannot take its place, or it could not be asked."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of a candidate."""

    class_names: tuple[str, ...]
    labels_n: NDArray[np.int64]
    right_n: NDArray[np.bool_]
    calibration_error: float
    latency_ms: float
    """Median for one image."""
    size_mib: float
    lineage: Mapping[str, str]
    """`data_version`, `code_version`, `image_digest`; empty where not known."""
    incumbent: Incumbent | None

    @property
    def accuracy(self) -> float:
        """On the images."""
        return float(self.right_n.mean())

    def pairs(self) -> Pairs | None:
        """Candidate and incumbent, if the incumbent answered."""
        if self.incumbent is None or self.incumbent.right_n is None:
            return None
        return Pairs.of(self.right_n, self.incumbent.right_n)


@dataclass(frozen=True, kw_only=True)
class Check:
    """What one rule says."""

    rule: str
    outcome: str
    said: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.said}"


@dataclass(frozen=True, kw_only=True)
class GroupLoss:
    """A class or slice under both models."""

    name: str
    num_images: int
    accuracy: float
    difference: float
    p_value: float
    """Chance of so large a loss if the true one were the margin, corrected for the number of groups."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The verdict, and how every rule came out."""

    verdict: str
    checks: tuple[Check, ...]
    groups: tuple[GroupLoss, ...]


def decide(rules: Rules, evidence: Evidence) -> Decision:
    """Raises RegistryError where a slice names classes that the data set does not have."""
    groups = tuple(_groups(rules, evidence))
    checks = (*_own(rules, evidence), *_lineage(rules, evidence), *_against(rules, evidence, groups))
    outcomes = {check.outcome for check in checks}
    verdict = REFUSE if FAILED in outcomes else INSUFFICIENT if UNDECIDED in outcomes else PROMOTE
    return Decision(verdict=verdict, checks=checks, groups=groups)


def _own(rules: Rules, evidence: Evidence) -> Iterator[Check]:
    """What a candidate must reach by itself."""
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


def _against(rules: Rules, evidence: Evidence, groups: tuple[GroupLoss, ...]) -> Iterator[Check]:
    """What a candidate must not lose against the version in production."""
    incumbent, pairs = evidence.incumbent, evidence.pairs()
    if incumbent is None:
        if rules.margin is not None or rules.slice_margin is not None:
            yield Check(rule="margin", outcome=SKIPPED, said="no version is in production to compare with")
        return
    if rules.margin is None and rules.slice_margin is None:
        return
    if pairs is None:
        said = f"cannot take the place of version {incumbent.number}: {incumbent.why_not}"
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
    would_do = (
        f"about {needed:,} test images would show it, there are {pairs.num_images:,}"
        if needed
        else "more test images would only show that it is worse"
    )
    return Check(rule="margin", outcome=UNDECIDED, said=f"{found}; {would_do}")


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
    """Classes and slices that have images."""
    strangers = sorted({name for names in rules.slices.values() for name in names} - set(evidence.class_names))
    if strangers:
        raise RegistryError(
            f"Slices name classes that the data set does not have: {', '.join(strangers)}; it has "
            f"{', '.join(evidence.class_names)}"
        )
    incumbent = evidence.incumbent
    if rules.slice_margin is None or incumbent is None or incumbent.right_n is None:
        return
    label = {name: number for number, name in enumerate(evidence.class_names)}
    groups = {f"class {name}": [number] for name, number in label.items()}
    groups |= {f"slice {name}": [label[one] for one in names] for name, names in rules.slices.items()}
    members = {name: np.isin(evidence.labels_n, labels) for name, labels in groups.items()}
    there = {name: chosen_n for name, chosen_n in members.items() if chosen_n.any()}
    pairs = [Pairs.of(evidence.right_n[chosen_n], incumbent.right_n[chosen_n]) for chosen_n in there.values()]
    p_values = holm([one.chance_of_this_little(-rules.slice_margin) for one in pairs])
    for (name, chosen_n), one, p_value in zip(there.items(), pairs, p_values, strict=True):
        yield GroupLoss(
            name=name,
            num_images=one.num_images,
            accuracy=float(evidence.right_n[chosen_n].mean()),
            difference=one.difference,
            p_value=p_value,
        )


def points(share: float) -> str:
    """A difference of accuracies in percentage points."""
    return f"{100 * share:+.2f}"


def _passed(passed: bool) -> str:
    return PASSED if passed else FAILED

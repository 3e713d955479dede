"""Comparison of two versions on the same test images."""

from __future__ import annotations

from dataclasses import dataclass

from workloads.environment import PlatformEnvironment
from workloads.errors import RegistryError
from workloads.evaluation.counts import Counts
from workloads.evaluation.report import Report
from workloads.registry.evaluate import is_correct, logits_of
from workloads.registry.model_format import load_program, signature_of
from workloads.registry.paired import Pairs
from workloads.registry.versions import Version, find_version
from workloads.tracking.connection import connect


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two versions evaluated on the test images of the first one's data set."""

    first: Version
    second: Version
    reports: tuple[Report, Report]
    pairs: Pairs
    both_wrong: int
    """Number of images on which both are wrong."""


def compare(environment: PlatformEnvironment, model_name: str, first: int, second: int) -> Comparison:
    """Evaluate both versions on the same test images; store nothing.

    Raises RegistryError where a version does not exist or does not accept the other's images; DataError or
    TrackingError.
    """
    client = connect(environment)
    one, other = (find_version(client, model_name, version=number) for number in (first, second))
    try:
        incompatibility = signature_of(client, one.run_id).incompatibility_with(signature_of(client, other.run_id))
    except RegistryError as error:
        incompatibility = f"of one of the two {error}"
    if incompatibility:
        raise RegistryError(
            f"Version {first} of {model_name} cannot be compared with version {second}: {incompatibility}"
        )
    dataset = one.load_dataset(environment)
    programs = [load_program(version.uri, client.tracking_uri) for version in (one, other)]
    logits = logits_of(programs, dataset.test)
    reports = [Report.of(Counts.of(logits_nk, dataset.test.labels), dataset.class_names) for logits_nk in logits]
    correct = [is_correct(logits_nk, dataset.test).numpy() for logits_nk in logits]
    return Comparison(
        first=one,
        second=other,
        reports=(reports[0], reports[1]),
        pairs=Pairs.of(correct[0], correct[1]),
        both_wrong=int((~correct[0] & ~correct[1]).sum()),
    )

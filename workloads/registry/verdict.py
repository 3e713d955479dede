"""Evaluation of the gate: candidate and production are run on the test images, and the verdict is recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workloads.environment import PlatformEnvironment
from workloads.errors import RegistryError
from workloads.registry.evaluate import VersionEvaluation, evaluation_of, is_correct, logits_of, record_evaluation
from workloads.registry.gate import FAILED, INSUFFICIENT, PROMOTE, UNDECIDED, Decision, Evidence, Incumbent, decide
from workloads.registry.model_format import load_program, signature_of
from workloads.registry.rules import Rules
from workloads.registry.versions import Version, runs_of
from workloads.tracking.connection import requests_to

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from torch import nn

    from workloads.data.dataset import Dataset

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A decision, and the data that it was made from."""

    version: Version
    alias: str
    decision: Decision
    data: Mapping[str, Any]
    """The verdict as it is recorded, in plain values."""
    address: str | None
    """URI of the artifact that records it; None where nothing was recorded."""

    @property
    def passes(self) -> bool:
        """Whether the version may have the alias."""
        return self.decision.verdict == PROMOTE

    def __str__(self) -> str:
        """Describe why the version may not be promoted, rule by rule."""
        version = self.version
        reasons = [str(check) for check in self.decision.checks if check.outcome in (FAILED, UNDECIDED)]
        next_step = (
            "judge it on more test images, or overrule the gate by --force --why TEXT"
            if self.decision.verdict == INSUFFICIENT
            else "train a better one, or overrule the gate by --force --why TEXT"
        )
        kept = f"; the whole verdict is {self.address}" if self.address else ""
        head = f"Version {version.number} of {version.model_name} may not be {self.alias}: {self.decision.verdict}"
        return "\n  ".join([head, *reasons, f"{next_step}{kept}"])


def evaluate_gate(
    environment: PlatformEnvironment,
    client: MlflowClient,
    version: Version,
    production: int | None,
    *,
    to: str,
    rules: Rules,
    rules_file: Path,
    records: bool,
) -> Verdict:
    """Evaluate the gate; where it `records`, record verdict and test results with the version's run and in its tags.

    Raises RegistryError, DataError or TrackingError.
    """
    dataset = version.load_dataset(environment)
    if rules.margin is None and rules.slice_margin is None:
        production = None  # no rule compares with it
    evaluation, incumbent = _evaluate_both(client, version, production, dataset)
    evidence = Evidence(
        class_names=dataset.class_names,
        labels_n=dataset.test.labels.numpy(),
        correct_n=evaluation.correct_n.numpy(),
        calibration_error=evaluation.report.calibration_error,
        latency_ms=evaluation.latencies[0].median_ms,
        size_mib=evaluation.size.num_bytes / MIB,
        lineage={
            "data_version": version.data_version,
            "code_version": version.code_version,
            "image_digest": version.image_digest,
        },
        incumbent=incumbent,
    )
    decision = decide(rules, evidence)
    now = datetime.now(UTC)
    data = {
        "verdict": decision.verdict,
        "model_name": version.model_name,
        "version": version.number,
        "alias": to,
        "against": incumbent.number if incumbent else None,
        "time": now.isoformat(timespec="seconds"),
        "test_images": {"dataset": dataset.name, "data_version": dataset.version, "num_images": len(dataset.test)},
        "test_accuracy": evidence.accuracy,
        "calibration_error": evidence.calibration_error,
        "latency_ms": evidence.latency_ms,
        "size_mib": evidence.size_mib,
        "machine": evaluation.machine,
        "lineage": dict(evidence.lineage),
        "pairs": _pairs_data(evidence),
        "checks": [asdict(check) for check in decision.checks],
        "groups": [asdict(group) for group in decision.groups],
        "rules": {"file": rules_file.name, **rules.model_dump(exclude_defaults=True)},
    }
    address = None
    if records:
        if version.test_accuracy is None:
            record_evaluation(client, evaluation, dataset)
        address = _record_verdict(client, version, to, data, now)
    return Verdict(version=version, alias=to, decision=decision, data=data, address=address)


def _evaluate_both(
    client: MlflowClient, version: Version, production: int | None, dataset: Dataset
) -> tuple[VersionEvaluation, Incumbent | None]:
    """Evaluate the candidate and, if possible, the version in production on the candidate's test images."""
    program = load_program(version.uri, client.tracking_uri)
    incumbent, other = _incumbent(client, version, production)
    logits = logits_of([program, other] if other else [program], dataset.test)
    if incumbent and other:
        incumbent = Incumbent(number=incumbent.number, correct_n=is_correct(logits[1], dataset.test).numpy())
    return evaluation_of(version, program, dataset, logits[0]), incumbent


def _incumbent(
    client: MlflowClient, version: Version, production: int | None
) -> tuple[Incumbent | None, nn.Module | None]:
    """Return the version in production and its program, None if that does not accept the candidate's images."""
    runs = runs_of(client, version.model_name)
    if production not in runs:
        return None, None
    try:
        own, other = signature_of(client, version.run_id), signature_of(client, runs[production])
        incompatibility = own.incompatibility_with(other)
    except RegistryError as error:
        incompatibility = f"it cannot be compared, since of one of the two {error}"
    if incompatibility:
        return Incumbent(number=production, incompatibility=incompatibility), None
    program = load_program(f"models:/{version.model_name}/{production}", client.tracking_uri)
    return Incumbent(number=production), program


def _pairs_data(evidence: Evidence) -> dict[str, Any] | None:
    pairs = evidence.pairs()
    if pairs is None:
        return None
    lower, upper = pairs.interval()
    return {
        "difference": pairs.difference,
        "lower": lower,
        "upper": upper,
        "only_candidate_right": pairs.only_first,
        "only_production_right": pairs.only_second,
        "num_images": pairs.num_images,
    }


def _record_verdict(client: MlflowClient, version: Version, to: str, data: Mapping[str, Any], now: datetime) -> str:
    path = f"gate/{to}-{now:%Y%m%d-%H%M%S-%f}.json"
    address = f"runs:/{version.run_id}/{path}"
    with requests_to(client.tracking_uri):
        client.log_text(version.run_id, json.dumps(data, indent=2), path)
        for key, value in (("verdict", data["verdict"]), ("artifact", address)):
            client.set_model_version_tag(version.model_name, str(version.number), f"gate.{to}.{key}", value)
    return address

"""Promotion, rollback and what they leave, through the command line, with two trained models: 1 is good, 2 is weak."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from typer.testing import CliRunner

from tests.workloads.registry.builders import MODEL, aliases, invoke, run_of
from workloads.cli import app
from workloads.config import ModelConfig
from workloads.data.dataset import Dataset, Split
from workloads.data.datasets import load
from workloads.environment import REGISTRY, PlatformEnvironment
from workloads.errors import DataError, RegistryError, TrackingError, WorkloadError
from workloads.models.build import ModelSpec
from workloads.registry import promotion, verdict
from workloads.registry.aliases import repair
from workloads.registry.model_format import log_weights
from workloads.registry.moves import PROMOTE, History, Move, open_history
from workloads.tracking.tracker import MlflowTracker

TO_PRODUCTION = ("--to", "production")


@pytest.fixture
def history(environment: PlatformEnvironment) -> History:
    return open_history(environment, MODEL)


def serve(client: MlflowClient, history: History, number: int) -> None:
    """Put a version into production without asking the gate."""
    move = Move(kind=PROMOTE, alias="production", from_version=None, to_version=number, by="ben")
    history.add(move, after=len(history.moves()))
    repair(client, MODEL, history)


def registry(verb: str, *arguments: str, exit_code: int = 0) -> str:
    return invoke("registry", verb, MODEL, *arguments, exit_code=exit_code)


def answer(verb: str, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(registry(verb, *arguments, "--json", exit_code=exit_code))
    return data


def kept(client: MlflowClient, address: str) -> dict[str, Any]:
    run_id, _, path = address.removeprefix("runs:/").partition("/")
    data: dict[str, Any] = json.loads(Path(client.download_artifacts(run_id, path)).read_text())
    return data


def test_a_version_is_judged_promoted_and_its_verdict_kept(client: MlflowClient):
    output = registry("promote", "1", *TO_PRODUCTION, "--force", "--why", "the first", "--by", "ada")  # without need
    assert "digits-classifier version 1 is now production (move 1)" in output
    assert "skipped    margin: no version is in production to compare with" in output
    assert aliases(client) == {"production": 1}
    version = client.get_model_version(MODEL, "1")
    assert version.tags["gate.production.verdict"] == "promote"
    verdict = kept(client, version.tags["gate.production.artifact"])
    assert (verdict["verdict"], verdict["version"], verdict["alias"], verdict["against"]) == (
        "promote", 1, "production", None
    )  # fmt: skip
    dataset = load("digits", PlatformEnvironment.read())
    assert verdict["test_images"] == {"dataset": "digits", "data_version": dataset.version, "num_images": 359}
    assert verdict["rules"]["minimum_accuracy"] == 0.85
    [move] = answer("history")["moves"]
    assert move["evidence"] == {
        "verdict": "promote", "artifact": version.tags["gate.production.artifact"], "forced": False
    }  # fmt: skip
    assert (move["seq"], move["by"], move["why"], move["kind"]) == (1, "ada", "the first", "promote")
    assert (move["alias"], move["from_version"], move["to_version"]) == ("production", None, 1)
    assert "already" in registry("promote", "1", *TO_PRODUCTION)
    assert len(answer("history")["moves"]) == 1


def test_a_dry_run_tells_and_changes_nothing(client: MlflowClient, history: History):
    def state() -> object:
        versions = [client.get_model_version(MODEL, number) for number in ("1", "2")]
        runs = [client.get_run(run_of(client, number)).data.to_dictionary() for number in (1, 2)]
        artifacts = [[file.path for file in client.list_artifacts(run_of(client, n), "gate")] for n in (1, 2)]
        return aliases(client), [version.tags for version in versions], runs, artifacts, history.moves()

    before = state()
    assert "may be production; nothing was changed" in registry("promote", "1", *TO_PRODUCTION, "--dry-run")
    output = registry("promote", "2", *TO_PRODUCTION, "--dry-run", exit_code=3)
    assert "Version 2 of digits-classifier may not be production: refuse" in output
    assert answer("promote", "2", *TO_PRODUCTION, "--dry-run", exit_code=3)["verdict"]["verdict"] == "refuse"
    assert state() == before


def test_a_refusal_names_the_failing_rules_and_keeps_its_verdict(client: MlflowClient, history: History):
    serve(client, history, 1)
    with pytest.raises(RegistryError) as caught:
        registry("promote", "2", *TO_PRODUCTION)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:-1]] == [
        "minimum_accuracy", "maximum_calibration_error", "margin", "slice_margin",
    ]  # fmt: skip
    tags = client.get_model_version(MODEL, "2").tags
    assert tags["gate.production.verdict"] == "refuse"
    assert tags["gate.production.artifact"] in lines[-1]
    verdict = kept(client, tags["gate.production.artifact"])
    assert verdict["against"] == 1
    assert verdict["pairs"]["num_images"] == 359
    assert verdict["pairs"]["upper"] < -0.3
    assert aliases(client) == {"production": 1}
    assert len(history.moves()) == 1


def test_where_told_so_a_refusal_leaves_the_alias_where_it_is(client: MlflowClient, history: History):
    with pytest.raises(RegistryError, match="may not be production"):  # nobody has it
        registry("promote", "2", *TO_PRODUCTION, "--or-keep")
    serve(client, history, 1)
    done = answer("promote", "2", *TO_PRODUCTION, "--or-keep")
    assert (done["moved"], done["holder"], done["verdict"]["verdict"]) == (False, 1, "refuse")


def test_the_gate_is_overruled_with_a_reason_and_rolled_back(client: MlflowClient, history: History):
    serve(client, history, 1)
    with pytest.raises(WorkloadError, match="give the reason by --why"):
        registry("promote", "2", *TO_PRODUCTION, "--force")
    output = registry("promote", "2", *TO_PRODUCTION, "--force", "--why", "a drill")
    assert "version 2 is now production, by force (move 2); version 1 was, and is now archived-1" in output
    assert aliases(client) == {"production": 2, "archived-1": 1}
    evidence = history.moves()[-1].evidence or {}
    assert (evidence["forced"], evidence["verdict"]) == (True, "refuse")

    assert "version 1 is production again; version 2 was" in registry("rollback", "--why", "the drill is over")
    assert aliases(client) == {"production": 1, "archived-2": 2}
    with pytest.raises(RegistryError, match="No version of digits-classifier was in production before 1"):
        registry("rollback")
    shown = registry("history")
    assert "refuse (overruled)" in shown
    assert "the drill is over" in shown
    assert [move["kind"] for move in answer("history")["moves"]] == ["promote", "promote", "rollback"]


def test_a_promotion_that_another_one_overtakes_is_told(
    client: MlflowClient, environment: PlatformEnvironment, monkeypatch: pytest.MonkeyPatch
):

    def overtaken(*arguments: Any, **others: Any) -> Any:
        move = Move(kind=PROMOTE, alias="production", from_version=None, to_version=2, by="ben")
        open_history(environment, MODEL).add(move, after=0)
        return verdict.evaluate_gate(*arguments, **others)

    monkeypatch.setattr(promotion, "evaluate_gate", overtaken)
    with pytest.raises(
        RegistryError, match=r"move 1 \(promote, production none -> 2, by ben at .*run the command again"
    ):
        registry("promote", "1", *TO_PRODUCTION)
    monkeypatch.undo()


def test_a_crash_before_the_alias_is_reported_and_repaired_by_the_next_promotion(
    client: MlflowClient, history: History, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def fail(*arguments: object) -> None:
        raise MlflowException("the server is gone")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", fail)
        with pytest.raises(TrackingError, match="the server is gone"):
            registry("promote", "1", *TO_PRODUCTION)
    assert aliases(client) == {}
    assert len(history.moves()) == 1
    result = CliRunner().invoke(app, ["registry", "list", MODEL])
    assert "repairs them: production to version 1" in result.stderr
    result = CliRunner().invoke(app, ["registry", "promote", MODEL, "1", *TO_PRODUCTION])
    assert "aliases repaired from the history: production to version 1" in result.stderr
    assert "is production already" in result.stdout
    assert aliases(client) == {"production": 1}
    assert len(history.moves()) == 1


def test_a_model_in_production_since_before_its_history_is_found_and_rolled_back_to(
    client: MlflowClient, history: History
):
    client.set_registered_model_alias(MODEL, "production", "2")
    output = registry("promote", "1", *TO_PRODUCTION)
    assert "passed     margin: +" in output
    assert [(move.kind, move.from_version, move.to_version) for move in history.moves()] == [
        ("found", None, 2), ("promote", 2, 1),
    ]  # fmt: skip
    registry("rollback")
    assert aliases(client) == {"production": 2, "archived-1": 1}


def test_staging_has_rules_and_moves_of_its_own(client: MlflowClient, history: History, tmp_path: Path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("staging: {minimum_accuracy: 0.1}")
    assert "is now staging (move 1)" in registry("promote", "2", "--to", "staging", "--rules", str(rules))
    registry("promote", "1", "--to", "staging")
    assert aliases(client) == {"staging": 1}
    assert [(move.alias, move.from_version, move.to_version) for move in history.moves()] == [
        ("staging", None, 2), ("staging", 2, 1),
    ]  # fmt: skip
    with pytest.raises(RegistryError, match="has no rules for production"):
        registry("promote", "1", *TO_PRODUCTION, "--rules", str(rules))


def test_a_model_of_other_classes_does_not_take_the_place_of_the_one_in_production(
    client: MlflowClient, environment: PlatformEnvironment
):
    split = Split(images=torch.zeros(2, 3, 32, 32, dtype=torch.uint8), labels=torch.arange(2))
    dataset = Dataset(name="pets", train=split, test=split, class_names=("cat", "dog"))
    spec = ModelSpec.of(ModelConfig(width=4), split, 2)
    with MlflowTracker.start(environment, experiment="e", run_name="r", params={}, tags={}) as tracker:
        log_weights(tracker, spec.build(seed=0), spec, dataset)
    client.create_model_version(MODEL, source="nowhere", run_id=tracker.run_id)
    client.set_registered_model_alias(MODEL, "production", "3")
    with pytest.raises(
        RegistryError, match=r"cannot take the place of version 3: its classes are 10 \(0, 1, .*\), not 2 \(cat, dog\)"
    ):
        registry("promote", "1", *TO_PRODUCTION)
    with pytest.raises(RegistryError, match=r"Version 1 of .* cannot be compared with version 3: its classes are"):
        registry("compare", "1", "3")


def test_a_model_in_production_that_does_not_say_its_classes_is_no_match(
    client: MlflowClient, environment: PlatformEnvironment
):
    tracker = MlflowTracker.start(environment, experiment="e", run_name="r", params={}, tags={})
    client.create_model_version(MODEL, source="nowhere", run_id=tracker.run_id)
    client.set_registered_model_alias(MODEL, "production", "3")
    with pytest.raises(RegistryError, match=rf"signature: .* its run {tracker.run_id} has no weights/model\.json"):
        registry("promote", "1", *TO_PRODUCTION)
    with pytest.raises(RegistryError, match=r"cannot be compared with version 3: .* has no weights/model\.json"):
        registry("compare", "1", "3")
    assert "by force" in registry("promote", "1", *TO_PRODUCTION, "--force", "--why", "the other is foreign")


def test_the_gate_asks_about_no_other_images_than_the_version_was_made_with(client: MlflowClient):
    run_id = run_of(client, 1)
    client.set_tag(run_id, "data_version", "0123456789abcdef")
    with pytest.raises(DataError, match="was trained on 0123456789abcdef: provide those files again"):
        registry("promote", "1", *TO_PRODUCTION)


def test_two_versions_are_compared_on_the_same_images(client: MlflowClient):
    done = answer("compare", "1", "2")
    assert done["num_images"] == 359
    alone = done["only_first_right"] - done["only_second_right"]
    assert done["difference"] == pytest.approx(alone / 359)
    assert done["first"]["test_accuracy"] - done["second"]["test_accuracy"] == pytest.approx(alone / 359)
    assert done["lower"] < done["difference"] < done["upper"]
    assert sum(one["num_images"] for one in done["classes"]) == 359
    same = answer("compare", "1", "1")
    assert (same["difference"], same["only_first_right"]) == (0, 0)
    lines = registry("compare", "1", "2").splitlines()
    assert lines[-1].startswith(f"version 1 has {100 * done['difference']:+.2f} points of accuracy against version 2")


def test_one_version_is_shown_with_where_it_comes_from(client: MlflowClient):
    registry("promote", "1", *TO_PRODUCTION)
    shown = answer("show", "--alias", "production")
    assert (shown["version"], shown["aliases"], shown["dataset"]) == (1, ["production"], "digits")
    assert shown["data_version"] == load("digits", PlatformEnvironment.read()).version
    assert shown["code_version"]
    assert shown["verdicts"] == {"production": "promote", "staging": None}
    assert [move["seq"] for move in shown["moves"]] == [1]
    assert answer("show", "2")["moves"] == []
    assert "gate to production" in registry("show", "1")
    with pytest.raises(WorkloadError, match="by its number or by --alias"):
        registry("show")


def test_a_version_is_made_from_the_model_of_a_finished_run_once(client: MlflowClient):
    first = client.get_model_version(MODEL, "1")
    run_id = run_of(client, 1)
    again = json.loads(invoke("registry", "register", run_id, "--json"))
    assert again == {"model_name": MODEL, "version": 1, "run_id": run_id, "is_new": False}
    assert "other version 1 is new" in invoke("registry", "register", run_id, "--name", "other")
    made = client.get_model_version("other", "1")
    assert made.run_id == run_id
    assert made.tags["data_version"] == first.tags["data_version"]
    # It is a version like any other: the gate can ask it.
    assert "version 1 is now production" in invoke("registry", "promote", "other", "1", *TO_PRODUCTION)


def test_a_run_without_a_model_makes_no_version(client: MlflowClient, environment: PlatformEnvironment):
    with pytest.raises(RegistryError, match="No run 0123"):
        invoke("registry", "register", "0123")
    tracker = MlflowTracker.start(environment, experiment="e", run_name="r", params={}, tags={})
    with tracker, pytest.raises(RegistryError, match="is RUNNING; a version is made from a FINISHED run"):
        invoke("registry", "register", tracker.run_id)
    with pytest.raises(RegistryError, match="has logged no model; trials of a search do not"):
        invoke("registry", "register", tracker.run_id)


def test_without_a_place_for_moves_only_looking_works(client: MlflowClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(REGISTRY)
    assert len(answer("list")["versions"]) == 2
    assert answer("show", "1")["version"] == 1
    for arguments in (("promote", "1", *TO_PRODUCTION), ("rollback",), ("history",)):
        with pytest.raises(RegistryError, match="MLP_REGISTRY is not set; run"):
            registry(*arguments)
    assert aliases(client) == {}


def test_a_model_that_was_never_moved_has_no_history(client: MlflowClient):
    assert registry("history") == "no alias of digits-classifier was moved yet\n"
    with pytest.raises(RegistryError, match="was in production before now"):
        registry("rollback")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("promote", "1", "--to", "shadow"), "--to is shadow; it must be one of production, staging"),
        (("promote", "1", *TO_PRODUCTION, "--dry-run", "--or-keep"), "--force and --or-keep do not go with it"),
    ],
)
def test_a_command_that_makes_no_sense_is_told(arguments: tuple[str, ...], message: str):
    with pytest.raises(WorkloadError, match=message):
        registry(*arguments)

import sys

import pytest

from mlp.local.quickstart import Quickstart, WorkloadSteps
from mlp.shared.errors import PlatformError
from tests.mlp.local.builders import Told

MODEL = "fashion-mnist-classifier"


class FakeSteps:
    """Answers as the workloads do; a training's accuracy and version follow from how many there were."""

    def __init__(self, *, trained=(0.90,), searched=0.80, data_fault=None, failing=None, judged=None, holder=None):
        self.asked: list[tuple[str, ...]] = []
        self._trained = trained
        self._searched = searched
        self._data_fault = data_fault
        self._failing = failing
        self._judged = judged or {"test_accuracy": 0.8999}
        self._holder = holder
        self._versions = 0

    def why_not(self, *arguments):
        self.asked.append(arguments)
        return self._data_fault

    def run(self, *arguments):
        self.asked.append(arguments)
        if arguments[0] == self._failing:
            raise PlatformError(f"{self._failing} failed")
        return getattr(self, f"_{arguments[0]}")()

    def verbs(self):
        return [arguments[0] for arguments in self.asked]

    def _train(self):
        accuracy = self._trained[self._versions]
        self._versions += 1
        return {"val_accuracy": accuracy, "seconds": 10.0 * self._versions, "model_name": MODEL,
                "model_version": self._versions}  # fmt: skip

    def _tune(self):
        return {"best": {"params": {"optim.lr": 0.25, "model.width": 8}, "val_accuracy": self._searched}}

    def _evaluate(self):
        return self._judged

    def _registry(self):
        verdict = {"verdict": "promote" if self._holder is None else "refuse"}
        return {"holder": self._holder or int(self.asked[-1][3]), "verdict": verdict}

    def _predict(self):
        return {"predicted": "Bag", "probability": 0.75, "label": "Bag"}


def quickstart(steps, told=None):
    return Quickstart(steps, told or Told()).run()


def test_the_model_goes_from_training_to_a_prediction():
    steps = FakeSteps()
    summary = quickstart(steps)
    assert steps.asked == [
        ("data", "find", "fashion_mnist"),
        ("train", "fashion_mnist", "--ranks", "2", "--no-test", "--json"),
        ("tune", "fashion_mnist", "--trials", "6", "--epochs", "3", "--set", "data.num_train=15000", "--json"),
        ("evaluate", "--model", MODEL, "--version", "1", "--json"),
        ("registry", "promote", MODEL, "1", "--to", "production", "--or-keep", "--json"),
        ("predict", "--model", MODEL, "--alias", "production", "--json"),
    ]
    assert (summary.dataset, summary.version, summary.alias) == ("fashion_mnist", 1, "production")
    assert (summary.test_accuracy, summary.train_seconds) == (0.8999, 10.0)
    assert (summary.predicted, summary.probability, summary.label) == ("Bag", 0.75, "Bag")


@pytest.mark.parametrize(
    ("accuracies", "version", "seconds"), [((0.90, 0.93), 2, 20.0), ((0.90, 0.85), 1, 10.0)], ids=["better", "worse"]
)
def test_what_the_search_found_is_trained_and_the_better_of_both_is_kept(accuracies, version, seconds):
    steps = FakeSteps(trained=accuracies, searched=0.91)
    summary = quickstart(steps)
    again = ("train", "fashion_mnist", "--set", "optim.lr=0.25", "--set", "model.width=8")
    assert [asked[: len(again)] for asked in steps.asked if asked[0] == "train"][1] == again
    assert steps.verbs().count("evaluate") == 1
    assert (summary.version, summary.train_seconds) == (version, seconds)


def test_a_model_that_the_gate_refuses_leaves_production_to_the_one_before_and_says_so():
    told = Told()
    summary = quickstart(FakeSteps(holder=7), told)
    assert (summary.version, summary.alias) == (1, "none (version 7 stays production)")
    [said] = [line for line in told.lines if "the gate says" in line]
    assert "'refuse': version 7 stays production" in said


def test_without_the_data_set_digits_take_its_place_loudly():
    steps, told = FakeSteps(data_fault="not found; run `get it`"), Told()
    summary = quickstart(steps, told)
    assert summary.dataset == "digits (fallback)"
    assert {asked[1] for asked in steps.asked if asked[0] in {"train", "tune"}} == {"digits"}
    [warning] = [line for line in told.lines if line.startswith("WARNING")]
    assert "digits" in warning
    assert "run `get it`" in warning


@pytest.mark.parametrize("verb", ["train", "tune", "evaluate", "registry", "predict"])
def test_a_step_that_fails_is_the_last(verb):
    steps = FakeSteps(failing=verb)
    with pytest.raises(PlatformError, match=f"{verb} failed"):
        quickstart(steps)
    assert steps.verbs()[-1] == verb


def test_every_step_is_announced_in_order():
    told = Told()
    quickstart(FakeSteps(trained=(0.90, 0.93), searched=0.91), told)
    assert [line[:5] for line in told.lines] == [f"[{number}/7]" for number in range(1, 8)]


def program(script, **variables):
    return WorkloadSteps(variables, [sys.executable, "-c", script])


def test_a_step_gets_its_arguments_and_the_platforms_variables(monkeypatch):
    monkeypatch.setenv("URI", "of another platform")
    script = "import json, os, sys; print('noise'); print(json.dumps({'got': sys.argv[1:], 'uri': os.environ['URI']}))"
    assert program(script, URI="http://x").run("a", "b") == {"got": ["a", "b"], "uri": "http://x"}


def test_a_failing_step_says_that_the_platform_keeps_running(capfd):
    with pytest.raises(PlatformError, match=r"`workloads train x` failed \(exit code 1\).*keeps running.*`mlp down`"):
        program("raise SystemExit('its own message')").run("train", "x")
    assert capfd.readouterr().err == "its own message\n"


@pytest.mark.parametrize("said", ["", "words", "[1]"])
def test_an_answer_that_is_no_json_object_is_told(said):
    with pytest.raises(PlatformError, match="not one JSON object"):
        program(f"print({said!r})").run("train")


def test_an_answer_without_what_was_promised_is_told():
    steps = FakeSteps(judged={"accuracy": 1})
    with pytest.raises(PlatformError, match=r"a step answered without 'test_accuracy': \{\"accuracy\": 1\}"):
        quickstart(steps)


def test_why_a_step_fails_is_what_it_says():
    assert program("pass").why_not("data") is None
    assert program("raise SystemExit('the reason')").why_not("data") == "the reason"
    assert program("raise SystemExit(4)").why_not("data") == "exit code 4"


def test_why_a_step_fails_is_asked_with_its_arguments_and_the_platforms_variables():
    script = "import os, sys; raise SystemExit(f'{sys.argv[1:]} at {os.environ[\"URI\"]}')"
    assert program(script, URI="http://x").why_not("data", "find") == "['data', 'find'] at http://x"

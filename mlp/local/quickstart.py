"""The main job on a running platform: train, search, evaluate, register and query a model, on real data."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mlp.local.processes import inherited_environment
from mlp.shared.errors import PlatformError
from mlp.shared.progress import Progress

DATASET = "fashion_mnist"
FALLBACK = "digits"
_NUM_STEPS = 7
_RANKS = 2
# Short, so that a first look takes minutes: few images, few epochs.
_SEARCH = ("--trials", "6", "--epochs", "3", "--set", "data.num_train=15000")
_SEARCH_FALLBACK = ("--trials", "6", "--epochs", "10")
_STOP_GRACE_S = 30


class Steps(Protocol):
    """Runner of the workloads' commands."""

    def run(self, *arguments: str) -> Mapping[str, Any]:
        """Return the JSON that a command prints; raise PlatformError when it fails."""

    def why_not(self, *arguments: str) -> str | None:
        """Return why a command fails; None when it does not."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Results of the main job. `train_seconds` is that of the run whose model was promoted."""

    dataset: str
    test_accuracy: float
    train_seconds: float
    model_name: str
    version: int
    alias: str
    predicted: str
    probability: float
    label: str


class Quickstart:
    """The order of the steps, and what goes from one to the next. Each run makes new versions; it is safe to repeat."""

    def __init__(self, steps: Steps, progress: Progress) -> None:
        self._steps = steps
        self._progress = progress
        self._step = 0

    def run(self) -> Summary:
        """Do all steps. Raises PlatformError at the first that fails; the platform keeps running."""
        self._tell(f"looking for the data set {DATASET}")
        reason = self._steps.why_not("data", "find", DATASET)
        config = DATASET if reason is None else FALLBACK
        if reason is not None:
            self._progress.say(
                f"WARNING: {DATASET} is not here; going on with {FALLBACK}, which is far easier.\n  {reason}"
            )

        trained = self._train(config, {})
        self._tell("searching, 6 short trials")
        search = _SEARCH if config == DATASET else _SEARCH_FALLBACK
        best = _value(self._steps.run("tune", config, *search, "--json"), "best")
        better = _value(best, "val_accuracy") > _value(trained, "val_accuracy")
        if better:
            again = self._train(config, _value(best, "params"))
            trained = max(again, trained, key=lambda result: float(_value(result, "val_accuracy")))
        else:
            self._tell("the search found nothing better; keeping the first model")

        model, version = str(_value(trained, "model_name")), int(_value(trained, "model_version"))
        self._tell(f"evaluating {model} version {version} on the test images")
        evaluated = self._steps.run("evaluate", "--model", model, "--version", str(version), "--json")
        self._tell(f"promoting {model} version {version} to production")
        holder = self._promote(model, version)
        self._tell("asking the registered model about one test image")
        answer = self._steps.run("predict", "--model", model, "--alias", "production", "--json")
        return Summary(
            dataset=config if reason is None else f"{config} (fallback)",
            test_accuracy=float(_value(evaluated, "test_accuracy")),
            train_seconds=float(_value(trained, "seconds")),
            model_name=model,
            version=version,
            alias="production" if holder == version else f"none (version {holder} stays production)",
            predicted=str(_value(answer, "predicted")),
            probability=float(_value(answer, "probability")),
            label=str(_value(answer, "label")),
        )

    def _train(self, config: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
        shown = ", ".join(f"{key}={value}" for key, value in values.items())
        self._tell(f"training on {config}, {_RANKS} processes{f' ({shown})' if shown else ''}")
        settings = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
        return self._steps.run("train", config, *settings, "--ranks", str(_RANKS), "--no-test", "--json")

    def _promote(self, model: str, version: int) -> int:
        """Promote the version; return the one then in production: the gate may refuse and keep an earlier run's."""
        answer = self._steps.run(
            "registry", "promote", model, str(version), "--to", "production", "--or-keep", "--json"
        )
        holder = int(_value(answer, "holder"))
        if holder != version:
            verdict = _value(_value(answer, "verdict"), "verdict")
            self._progress.say(
                f"the gate says {verdict!r}: version {holder} stays production; rule by rule: "
                f"`mlp env`, then `python -m workloads registry promote {model} {version} --to production --dry-run`"
            )
        return holder

    def _tell(self, what: str) -> None:
        self._step += 1
        self._progress.say(f"[{self._step}/{_NUM_STEPS}] {what}")


class WorkloadSteps:
    """Runner of `python -m workloads` with the platform's variables; the commands' stderr goes straight through."""

    def __init__(
        self, variables: Mapping[str, str], program: Sequence[str] = (sys.executable, "-m", "workloads")
    ) -> None:
        self._environment = {**inherited_environment(), **variables}
        self._program = list(program)

    def run(self, *arguments: str) -> Mapping[str, Any]:
        """Return the JSON object on the last line of the command's output."""
        command = " ".join(("workloads", *arguments))
        code, output = self._call(arguments)
        if code != 0:
            raise PlatformError(
                f"`{command}` failed (exit code {code}); its own message is above. "
                "The platform keeps running: fix that and run `mlp quickstart` again, or `mlp down` stops it"
            )
        lines = output.strip().splitlines()
        try:
            answer = json.loads(lines[-1])
        except (IndexError, ValueError):
            answer = None
        if not isinstance(answer, dict):
            raise PlatformError(f"`{command}` answered {output[-200:]!r}, not one JSON object")
        return answer

    def why_not(self, *arguments: str) -> str | None:
        """Return what the command writes to stderr when it fails."""
        done = subprocess.run(
            [*self._program, *arguments], env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return None
        return done.stderr.strip() or f"exit code {done.returncode}"

    def _call(self, arguments: Sequence[str]) -> tuple[int, str]:
        with subprocess.Popen(
            [*self._program, *arguments], env=self._environment, stdout=subprocess.PIPE, text=True
        ) as child:
            try:
                output, _ = child.communicate()
            except BaseException:
                child.terminate()  # it ends its own ranks
                try:
                    child.wait(_STOP_GRACE_S)
                except subprocess.TimeoutExpired:
                    child.kill()
                raise
        return child.returncode, output


def _value(answer: Mapping[str, Any], key: str) -> Any:
    if answer.get(key) is None:
        raise PlatformError(f"a step answered without {key!r}: {json.dumps(dict(answer))[:200]}")
    return answer[key]

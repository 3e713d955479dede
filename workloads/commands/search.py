"""Search."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from workloads.commands.options import Assignments, Config, Json, NoTracking, print_table
from workloads.config import load_config, parse_assignments
from workloads.environment import PlatformEnvironment


def tune(
    config: Config,
    trials: Annotated[int, typer.Option(help="Configurations to try.")] = 6,
    epochs: Annotated[int | None, typer.Option(help="Epochs of a trial that is not stopped early.")] = None,
    assignments: Assignments = None,
    max_concurrent: Annotated[int | None, typer.Option(help="Trials at once; default: one a CPU.")] = None,
    no_tracking: NoTracking = False,
    as_json: Json = False,
) -> None:
    """Search for good hyperparameters: the config's search space, by Ray Tune."""
    values = parse_assignments(assignments or []) | ({} if epochs is None else {"epochs": epochs})
    resolved = load_config(config, values)
    from workloads.tuning.search import SearchOptions, search

    options = SearchOptions(num_trials=trials, max_concurrent=max_concurrent, tracking=not no_tracking)
    result = search(resolved, options, PlatformEnvironment.read())
    if as_json:
        data = asdict(result)
        best = {key: data["best"][key] for key in ("params", "val_accuracy", "run_id")}
        typer.echo(json.dumps(data | {"best": best}))
        return
    keys = sorted(result.best.params)
    rows = [
        [t.name, *(f"{t.params[key]:.4g}" if isinstance(t.params[key], float) else str(t.params[key]) for key in keys),
         "-" if t.val_accuracy is None else f"{t.val_accuracy:.4f}", str(t.epochs), t.state]
        for t in result.trials
    ]  # fmt: skip
    print_table(["trial", *keys, "val accuracy", "epochs", "state"], rows)
    best_values = "  ".join(f"{key}={result.best.params[key]}" for key in keys)
    typer.echo(f"best {result.best.name}: {best_values}  val accuracy {result.best.val_accuracy:.4f}")

"""The command that searches for hyperparameters."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workloads.commands.options import Assignments, Json, NoTracking, accuracy, print_table
from workloads.environment import PlatformEnvironment
from workloads.errors import SearchError
from workloads.price import SECONDS_PER_HOUR, rounded
from workloads.tuning.options import PRESETS, SearchOptions

if TYPE_CHECKING:
    from workloads.config import TrainConfig
    from workloads.tuning.search import SearchResult

NUM_TRIALS = 10


def tune(
    config: Annotated[
        str | None, typer.Argument(metavar="[CONFIG]", help="A committed config's name, or the path of a yaml file.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="ray (default), or optuna: this machine, without Ray.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="quick (10 trials of 5 epochs), standard (50 of 10), extensive (100 of 20).")
    ] = None,
    num_samples: Annotated[
        int | None, typer.Option("--num-samples", "--trials", help="Configurations to try; default 10.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of a trial that is not stopped early.")] = None,
    sampler: Annotated[
        str | None, typer.Option(help="random (default), or tpe: learns from trials that ended.")
    ] = None,
    max_concurrent: Annotated[
        int | None, typer.Option("--max-concurrent", "--workers", help="Trials at once; default: one a CPU, or a GPU.")
    ] = None,
    gpus_per_trial: Annotated[
        float | None, typer.Option(help="GPUs of the Ray cluster; fractions too, like 0.25.")
    ] = None,
    ranks_per_trial: Annotated[
        int | None, typer.Option(help="Workers of the Ray cluster that train a trial together; default 1.")
    ] = None,
    max_hours: Annotated[float | None, typer.Option(help="Stop in order after this time; the best is kept.")] = None,
    budget_usd: Annotated[
        float | None, typer.Option(help="Stop in order at this price; needs MLP_PRICE_USD_PER_HOUR.")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="Keep the study for Optuna's tools: postgresql://… or a journal file.")
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Then train, test and register the best, in the config's epochs.")
    ] = False,
    assignments: Assignments = None,
    run_name: Annotated[str | None, typer.Option(help="Default: <config>-search-<utc>-<4 hex>.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="SEARCH", help="Resume a search that was stopped or killed.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate time and price from a few steps; search nothing.")
    ] = False,
    no_tracking: NoTracking = False,
    as_json: Json = False,
) -> None:
    """Search for good hyperparameters.

    Sample from the config's search space, stop poor trials early, record all.
    """
    from workloads.config import parse_assignments

    environment = PlatformEnvironment.read()
    given: dict[str, Any] = {
        "engine": engine,
        "num_trials": num_samples,
        "sampler": sampler,
        "max_concurrent": max_concurrent,
        "gpus_per_trial": gpus_per_trial,
        "ranks_per_trial": ranks_per_trial,
        "max_hours": max_hours,
        "budget_usd": budget_usd,
        "storage": storage,
    }
    given = {key: value for key, value in given.items() if value is not None}
    if no_tracking:
        given["tracking"] = False
    if resume is not None:
        began_with = (config, preset, epochs, sampler, run_name, retrain or None, dry_run or None, assignments or None)
        result = _resumed(resume, given, environment, is_changed=any(one is not None for one in began_with))
    else:
        num_trials, num_epochs = _preset(preset)
        given = {"num_trials": num_trials} | given
        values = parse_assignments(assignments or [])
        epochs = epochs if epochs is not None else num_epochs
        resolved = _config(config, values if epochs is None else values | {"epochs": epochs})
        if retrain:
            given["retrain_epochs"] = _config(config, values).epochs
        options = SearchOptions(**given)
        if dry_run:
            _show_forecast(resolved, options, environment, as_json=as_json)
            return
        from workloads.tuning import search
        from workloads.tuning.folder import can_resume

        if environment.job and run_name is None:
            run_name = environment.job
            resume = run_name if can_resume(environment, run_name, resolved) else None
        if resume is None:
            result = search.search(resolved, options, environment, name=run_name)
        else:
            result = search.resume(resume, given, environment)
    _show(result, as_json=as_json)


def _preset(name: str | None) -> tuple[int, int | None]:
    """Return the number of trials and of epochs; raise SearchError for an unknown preset."""
    if name is None:
        return NUM_TRIALS, None
    if name not in PRESETS:
        raise SearchError(f"--preset is {name}; it must be one of {', '.join(PRESETS)}")
    return PRESETS[name]


def _config(name: str | None, values: dict[str, object]) -> TrainConfig:
    from workloads.config import config_names, load_config

    if name is None:
        raise SearchError(f"Name a CONFIG, one of {', '.join(config_names())}, or a search by --resume")
    return load_config(name, values)


def _resumed(name: str, changes: dict[str, Any], environment: PlatformEnvironment, *, is_changed: bool) -> SearchResult:
    if is_changed:
        raise SearchError(
            f"Search {name} is resumed as it was begun, its space and epochs too; leave out CONFIG, --set, --preset, "
            "--epochs, --sampler, --run-name, --retrain and --dry-run, or start a new search"
        )
    from workloads.tuning.search import resume

    return resume(name, changes, environment)


def _show_forecast(
    config: TrainConfig, options: SearchOptions, environment: PlatformEnvironment, *, as_json: bool
) -> None:
    from workloads.tuning.forecast import forecast

    found = forecast(config, options, environment)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    price = "unknown" if found.usd is None else f"{rounded(found.usd)} USD"
    typer.echo(
        f"{found.num_trials} trials of up to {found.num_epochs} epochs, {found.num_slots} at once: about "
        f"{found.epochs:.0f} epochs in all ({found.share:.0%} of all that there could be), "
        f"{found.seconds_per_epoch:.3g} s each on {found.device}\n"
        f"about {rounded(found.hours)} hours, price {price}"
    )


def _show(result: SearchResult, *, as_json: bool) -> None:
    best, totals = result.best, result.totals
    best_run = result.run_ids.get(best.number)
    if as_json:
        trials = [
            {
                "name": trial.name,
                "run_id": result.run_ids.get(trial.number),
                "params": trial.params,
                "val_accuracy": trial.val_accuracy,
                "epochs": trial.num_epochs,
                "state": trial.state,
                "error": trial.error,
                "seconds": trial.seconds,
            }
            for trial in result.trials
        ]
        answer = {
            "name": result.name,
            "run_id": result.run_id,
            "trials": trials,
            "best": {"params": best.params, "val_accuracy": best.val_accuracy, "run_id": best_run},
            "totals": asdict(totals),
            "ended_by": result.ended_by,
            "seconds": result.seconds,
            "retrained": asdict(result.retrained) if result.retrained else None,
        }
        typer.echo(json.dumps(answer))
        return
    keys = sorted({key for trial in result.trials for key in trial.params})
    rows = [
        [trial.name, *(_shown(trial.params.get(key)) for key in keys), accuracy(trial.val_accuracy),
         str(trial.num_epochs), trial.state]
        for trial in result.trials
    ]  # fmt: skip
    print_table(["trial", *keys, "val accuracy", "epochs", "state"], rows)
    price = ""
    if totals.usd is not None:
        price = f", {rounded(totals.usd)} USD ({rounded(totals.saved_usd or 0)} saved by ending trials early)"
    typer.echo(f"{totals.epochs} epochs in {rounded(result.seconds / SECONDS_PER_HOUR)} hours{price}")
    values = "  ".join(f"{key}={value}" for key, value in best.params.items())
    typer.echo(f"best {best.name}: {values}  val accuracy {best.val_accuracy:.4f}")
    if result.retrained and result.retrained.test_accuracy is not None:
        typer.echo(f"trained with it: version {result.retrained.model_version or '-'}")
        typer.echo(f"test accuracy {result.retrained.test_accuracy:.4f}")
    if result.ended_by:
        typer.echo(f"ended by {result.ended_by}; resume with: python -m workloads tune --resume {result.name}")


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""Commands that train, and that show beforehand what this machine offers and what a run would take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from workloads.commands.options import Assignments, Config, Json, NoTracking, print_table
from workloads.environment import PlatformEnvironment
from workloads.errors import WorkloadError
from workloads.logs import is_json
from workloads.price import rounded

if TYPE_CHECKING:
    from workloads.checkpoints.run_folder import Identity
    from workloads.config import TrainConfig

LAUNCHERS = ("local", "torchrun", "ray")


def train(
    config: Annotated[
        str | None, typer.Argument(metavar="[CONFIG]", help="A committed config's name, or the path of a yaml file.")
    ] = None,
    launcher: Annotated[str | None, typer.Option(help="local, torchrun or ray; by default what --ranks needs.")] = None,
    ranks: Annotated[int | None, typer.Option(help="Processes that train together; default 1.")] = None,
    assignments: Assignments = None,
    run_name: Annotated[str | None, typer.Option(help="Default: <config>-<utc>-<4 hex>.")] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Resume a run from its newest checkpoint, as it was begun."),
    ] = None,
    max_restarts: Annotated[int, typer.Option(help="Most restarts of lost ranks.", min=0)] = 0,
    no_tracking: NoTracking = False,
    register: Annotated[
        bool | None, typer.Option("--register/--no-register", help="Whether the model becomes a new version (default).")
    ] = None,
    test: Annotated[
        bool | None,
        typer.Option("--test/--no-test", help="Whether the test images are evaluated at the end (default)."),
    ] = None,
    max_steps: Annotated[int | None, typer.Option(help="Stop after this many optimizer steps.")] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print the resolved config and exit.")] = False,
    as_json: Json = False,
) -> None:
    """Train a model, record it and register it as a version."""
    from workloads.config import parse_assignments

    environment = PlatformEnvironment.read()
    values = parse_assignments(assignments or []) | ({} if max_steps is None else {"max_steps": max_steps})
    resolved, begun = _train_config(config, values, run_name, resume, environment)
    if print_config:
        typer.echo(resolved.as_yaml(), nl=False)
        return
    from workloads.ranks import Ranks
    from workloads.training.launch import train_on_ranks
    from workloads.training.options import TrainOptions
    from workloads.training.progress import progress
    from workloads.training.resume import can_resume
    from workloads.training.run import TrainResult, new_run_name, preflight, run

    if environment.job and run_name is None and resume is None:
        run_name = environment.job
        resume = run_name if can_resume(environment, run_name, resolved) else None
    # What is not given is as it was when the run began.
    if begun is not None:
        launcher = launcher or ("ray" if begun.on_ray else None)
        ranks = (1 if launcher == "local" else begun.ranks) if ranks is None else ranks
        register, test = (was if now is None else now for now, was in ((register, begun.register), (test, begun.test)))
        no_tracking = no_tracking or begun.run_id is None
    ranks = 1 if ranks is None else ranks
    here = Ranks.from_environment()
    chosen = "local" if here.started_by_torchrun else _launcher(launcher, ranks, max_restarts)
    options = TrainOptions(
        run_name=resume or run_name or new_run_name(resolved),
        tracking=not no_tracking,
        register=register is not False,
        test=test is not False,
        on_ray=chosen == "ray",
        resume=resume is not None,
        max_restarts=max_restarts,
    )
    if not here.started_by_torchrun:
        preflight(resolved, options, environment, num_ranks=ranks)
    if chosen == "torchrun":
        train_on_ranks(resolved, options, environment, num_ranks=ranks, as_json=as_json)
        return
    with progress(options.run_name, as_json=is_json(environment)) as reporter:
        result: TrainResult | None
        if chosen == "ray":
            from workloads.training.on_ray import train_on_ray

            result = train_on_ray(resolved, options, environment, num_ranks=ranks, progress=reporter)
        else:
            shown = (reporter.on_epoch, reporter.on_step) if here.is_first else ()
            result = run(resolved, options, environment, here, *shown)
    if result is None:  # another rank than 0
        return
    if as_json:
        typer.echo(json.dumps(asdict(result)))
    elif result.test_accuracy is None:
        typer.echo(f"val accuracy {result.val_accuracy:.4f}")
    else:
        typer.echo(f"test accuracy {result.test_accuracy:.4f}")


def devices(as_json: Json = False) -> None:
    """Show the devices that this machine offers a run.

    Cores, memory, GPUs, and what `auto` selects of them.
    """
    from workloads.training.devices import detect_hardware

    here = detect_hardware()
    if as_json:
        typer.echo(json.dumps(asdict(here)))
        return
    memory = "-" if here.memory_gib is None else f"{here.memory_gib:.0f} GiB"
    print_table(
        ["device", "precision", "cores", "memory", "GPUs"],
        [[here.device, here.precision, str(here.num_cores), memory, "; ".join(here.gpus) or "none"]],
    )


def validate(
    config: Config,
    budget_usd: Annotated[float | None, typer.Option(help="Highest price of the run, in US dollars.", min=0)] = None,
    assignments: Assignments = None,
    no_tracking: NoTracking = False,
    as_json: Json = False,
) -> None:
    """Estimate the memory, time and price of a run.

    Uses its data, its network and a few steps; nothing is kept.
    """
    from workloads.config import load_config, parse_assignments

    resolved = load_config(config, parse_assignments(assignments or []))
    from workloads.training.validate import validate as forecast_of

    environment = PlatformEnvironment.read()
    forecast = forecast_of(resolved, environment, budget_usd=budget_usd, tracking=not no_tracking)
    if as_json:
        typer.echo(json.dumps(asdict(forecast)))
        return
    price = "unknown" if forecast.price_usd is None else f"{rounded(forecast.price_usd)} USD"
    shape = " x ".join(map(str, forecast.image_shape))
    typer.echo(
        f"{forecast.dataset}: {forecast.num_train:,} images of {shape} to train on, {forecast.num_validation:,} to "
        f"validate, {forecast.num_test:,} to test\n"
        f"{resolved.model.name}: {forecast.num_parameters:,} parameters, {forecast.tflop_per_step:.4g} TFLOP a step\n"
        f"{forecast.num_steps:,} steps on {forecast.device} in {forecast.precision}: about "
        f"{rounded(forecast.hours)} hours, {rounded(forecast.memory_gib)} GiB, price {price}"
    )


def _launcher(named: str | None, ranks: int, max_restarts: int) -> str:
    """Return the launcher to use; raise WorkloadError where the named one cannot do what is requested."""
    if named not in (None, *LAUNCHERS):
        raise WorkloadError(f"--launcher is {named}; it must be one of {', '.join(LAUNCHERS)}")
    if named == "local" and ranks > 1:
        raise WorkloadError(f"--launcher local trains in one process; --ranks is {ranks}: use --launcher torchrun")
    if named == "local" and max_restarts:
        raise WorkloadError("--launcher local restarts nothing; for --max-restarts use --launcher torchrun or ray")
    return named or ("torchrun" if ranks > 1 or max_restarts else "local")


def _train_config(
    config: str | None,
    values: Mapping[str, object],
    run_name: str | None,
    resume: str | None,
    environment: PlatformEnvironment,
) -> tuple[TrainConfig, Identity | None]:
    """Return the config that CONFIG names; or that of the run to resume, and how that began."""
    from workloads.config import config_names, load_config

    if resume is None:
        if config is None:
            raise WorkloadError(f"Name a CONFIG, one of {', '.join(config_names())}, or a run by --resume")
        return load_config(config, values), None
    if config is not None or values or run_name is not None:
        raise WorkloadError(
            f"Run {resume} is resumed as it was configured; leave out CONFIG, --set, --max-steps, --run-name"
        )
    from workloads.training.resume import config_of, unfinished

    begun = unfinished(environment, resume)
    return config_of(begun), begun

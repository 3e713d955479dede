"""`python -m workloads`: train, search, evaluate, promote and ask models. What people, Ray jobs and DAGs all run."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from workloads.config import TrainConfig, config_names, load_config, parse_assignments
from workloads.environment import PlatformEnvironment
from workloads.errors import Preempted, Stopped, WorkloadError
from workloads.logs import is_json, set_up

if TYPE_CHECKING:
    from workloads.registry.evaluate import Judged
    from workloads.registry.versions import Version

app = typer.Typer(
    name="workloads",
    help=__doc__,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
registry_app = typer.Typer(no_args_is_help=True, help="Versions of a registered model and their aliases.")
data_app = typer.Typer(no_args_is_help=True, help="Data sets.")
tracking_app = typer.Typer(no_args_is_help=True, help="Records of runs on their way to the tracking server.")
app.add_typer(registry_app, name="registry")
app.add_typer(data_app, name="data")
app.add_typer(tracking_app, name="tracking")

LAUNCHERS = ("local", "torchrun")
RESTART = 75
"""Exit code of a run that was asked to end and can go on: `EX_TEMPFAIL` of sysexits.h."""
PROMOTABLE = ("production", "staging")
WIDTH_WITHOUT_TERMINAL = 160
SHOWN_MISTAKES = 3

Config = Annotated[str, typer.Argument(metavar="CONFIG", help="A committed config's name, or the path of a yaml file.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a config key, for example optim.lr=0.1.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
NoTracking = Annotated[bool, typer.Option("--no-tracking", help="Keep no record on the tracking server.")]


@app.command()
def train(
    config: Annotated[
        str | None, typer.Argument(metavar="[CONFIG]", help="A committed config's name, or the path of a yaml file.")
    ] = None,
    launcher: Annotated[str | None, typer.Option(help="local or torchrun; by default what --ranks needs.")] = None,
    ranks: Annotated[int, typer.Option(help="Processes that train together.")] = 1,
    assignments: Assignments = None,
    run_name: Annotated[str | None, typer.Option(help="Default: <config>-<utc>-<4 hex>.")] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Go on with a run from its newest checkpoint, as configured then."),
    ] = None,
    max_restarts: Annotated[int, typer.Option(help="Times that lost ranks are started anew.", min=0)] = 0,
    no_tracking: NoTracking = False,
    register: Annotated[bool, typer.Option(help="Keep the model as a new version in the registry.")] = True,
    test: Annotated[bool, typer.Option(help="Evaluate once on the test images at the end.")] = True,
    max_steps: Annotated[int | None, typer.Option(help="End after so many optimizer steps.")] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print the resolved config and end.")] = False,
    as_json: Json = False,
) -> None:
    """Train a model; record it, and register it as a new version."""
    environment = PlatformEnvironment.read()
    values = parse_assignments(assignments or []) | ({} if max_steps is None else {"max_steps": max_steps})
    resolved = _train_config(config, values, run_name, resume, environment)
    if print_config:
        typer.echo(resolved.as_yaml(), nl=False)
        return
    from workloads.training.launch import train_on_ranks
    from workloads.training.progress import progress
    from workloads.training.ranks import Ranks
    from workloads.training.run import TrainOptions, new_run_name, preflight, run

    options = TrainOptions(
        run_name=resume or run_name or new_run_name(resolved),
        tracking=not no_tracking,
        register=register,
        test=test,
        resume=resume is not None,
        max_restarts=max_restarts,
    )
    here = Ranks.from_environment()
    if not here.started_by_torchrun:
        uses_torchrun = _uses_torchrun(launcher, ranks) or max_restarts > 0
        preflight(resolved, options, environment, num_ranks=ranks)
        if uses_torchrun:
            train_on_ranks(resolved, options, environment, num_ranks=ranks, as_json=as_json)
            return
    with progress(options.run_name, as_json=is_json(environment)) as told:
        result = run(resolved, options, environment, here, told.on_epoch, told.on_step)
    if result is None:  # not rank 0
        return
    if as_json:
        typer.echo(json.dumps(asdict(result)))
    elif result.test_accuracy is None:
        typer.echo(f"val accuracy {result.val_accuracy:.4f}")
    else:
        typer.echo(f"test accuracy {result.test_accuracy:.4f}")


@app.command()
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
    _print_table(["trial", *keys, "val accuracy", "epochs", "state"], rows)
    best_values = "  ".join(f"{key}={result.best.params[key]}" for key in keys)
    typer.echo(f"best {result.best.name}: {best_values}  val accuracy {result.best.val_accuracy:.4f}")


@app.command()
def evaluate(
    model: Annotated[str, typer.Option(help="Name of the registered model.")],
    version: Annotated[int | None, typer.Option(help="Version number.")] = None,
    alias: Annotated[str | None, typer.Option(help="Alias of a version, instead of its number.")] = None,
    as_json: Json = False,
) -> None:
    """Judge a registered version once on the test images of its data set."""
    if (version is None) == (alias is None):
        raise WorkloadError("Name the version to evaluate by one of --version and --alias")
    from workloads.registry.evaluate import evaluate_version

    judged = evaluate_version(PlatformEnvironment.read(), model, version=version, alias=alias)
    if as_json:
        found, report = judged.version, judged.report.as_data()
        identity = _identity(found) | {"run_id": found.run_id, "dataset": found.dataset}
        typer.echo(json.dumps(identity | {"test_accuracy": judged.report.accuracy} | report | judged.more()))
    else:
        _print_judged(judged)


@app.command()
def predict(
    model: Annotated[str, typer.Option(help="Name of the registered model.")] = "vision-classifier",
    alias: Annotated[str, typer.Option(help="Alias of the version to ask.")] = "production",
    index: Annotated[int, typer.Option(help="Which test image, from 0.")] = 0,
    as_json: Json = False,
) -> None:
    """Ask a registered model what one test image shows."""
    from workloads.registry.predict import predict as predict_image

    answer = predict_image(PlatformEnvironment.read(), model, alias=alias, index=index)
    if as_json:
        said = {"index": index, "predicted": answer.predicted, "probability": answer.probability, "label": answer.label}
        typer.echo(json.dumps(_identity(answer.version) | {"alias": alias, "dataset": answer.version.dataset} | said))
    else:
        typer.echo(
            f"{model} version {answer.version.number} ({alias}) on {answer.version.dataset} test image {index}: "
            f"{answer.predicted} (probability {answer.probability:.3f}; true class {answer.label})"
        )


@registry_app.command("list")
def registry_list(
    name: Annotated[str, typer.Argument(help="Name of the registered model.")], as_json: Json = False
) -> None:
    """List the versions of a model, newest first."""
    from workloads.registry.versions import versions_of
    from workloads.tracking.connection import connect

    versions = versions_of(connect(PlatformEnvironment.read()), name)
    if as_json:
        typer.echo(json.dumps({"model_name": name, "versions": [_listed(version) for version in versions]}))
        return
    rows = [
        [str(v.number), ", ".join(v.aliases) or "-", v.dataset, _accuracy(v.val_accuracy), _accuracy(v.test_accuracy),
         v.run_name]
        for v in versions
    ]  # fmt: skip
    _print_table(["version", "aliases", "dataset", "val accuracy", "test accuracy", "run"], rows)


@registry_app.command("promote")
def registry_promote(
    name: Annotated[str, typer.Argument(help="Name of the registered model.")],
    version: Annotated[int, typer.Argument(help="Version number.")],
    to: Annotated[str, typer.Option(help="production or staging.")],
    minimum: Annotated[float, typer.Option(help="Least test accuracy, from 0 to 1.")] = 0.85,
    as_json: Json = False,
) -> None:
    """Give a version an alias if its test accuracy is high enough."""
    if to not in PROMOTABLE:
        raise WorkloadError(f"--to is {to}; it must be one of {', '.join(PROMOTABLE)}")
    if not 0 <= minimum <= 1:
        raise WorkloadError(f"--minimum is {minimum}; it must be from 0 to 1")
    from workloads.registry.promotion import archived, promote
    from workloads.tracking.connection import connect

    done = promote(connect(PlatformEnvironment.read()), name, version, to=to, minimum=minimum)
    if as_json:
        data = {"alias": to, "moved": done.moved, "replaced": done.replaced}
        typer.echo(json.dumps(_identity(done.version) | data | {"test_accuracy": done.version.test_accuracy}))
    elif not done.moved:
        typer.echo(f"{name} version {version} is {to} already")
    else:
        was = ""
        if done.replaced is not None and to == "production":
            was = f"; version {done.replaced} was, and is now {archived(done.replaced)}"
        typer.echo(f"{name} version {version} is now {to} (test accuracy {_accuracy(done.version.test_accuracy)}){was}")


@app.command()
def devices(as_json: Json = False) -> None:
    """Show what this machine offers a run: cores, memory, GPUs, and what `auto` takes of them."""
    from workloads.training.devices import found

    here = found()
    if as_json:
        typer.echo(json.dumps(asdict(here)))
        return
    memory = "-" if here.memory_gib is None else f"{here.memory_gib:.0f} GiB"
    _print_table(
        ["device", "precision", "cores", "memory", "GPUs"],
        [[here.device, here.precision, str(here.num_cores), memory, "; ".join(here.gpus) or "none"]],
    )


@app.command()
def validate(
    config: Config,
    budget_usd: Annotated[float | None, typer.Option(help="Most that the run may cost, in US dollars.", min=0)] = None,
    assignments: Assignments = None,
    no_tracking: NoTracking = False,
    as_json: Json = False,
) -> None:
    """Tell what a run would take (memory, time, price) from its data, its net and a few steps; nothing is kept."""
    resolved = load_config(config, parse_assignments(assignments or []))
    from workloads.training.validate import validate as forecast_of

    environment = PlatformEnvironment.read()
    forecast = forecast_of(resolved, environment, budget_usd=budget_usd, tracking=not no_tracking)
    if as_json:
        typer.echo(json.dumps(asdict(forecast)))
        return
    price = "unknown" if forecast.price_usd is None else f"{forecast.price_usd:.2f} USD"
    shape = " x ".join(map(str, forecast.image_shape))
    typer.echo(
        f"{forecast.dataset}: {forecast.num_train:,} images of {shape} to train on, {forecast.num_validation:,} to "
        f"validate, {forecast.num_test:,} to test\n"
        f"{resolved.model.name}: {forecast.num_parameters:,} parameters, {forecast.tflop_per_step:.4g} TFLOP a step\n"
        f"{forecast.num_steps:,} steps on {forecast.device} in {forecast.precision}: about {forecast.hours:.2f} hours, "
        f"{forecast.memory_gib:.2f} GiB, price {price}"
    )


@data_app.command("find")
def data_find(name: Annotated[str, typer.Argument(help="Name of the data set.")]) -> None:
    """Print the folder that holds a data set."""
    from workloads.data.datasets import find

    typer.echo(find(name, PlatformEnvironment.read()))


@data_app.command("fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="Name of the data set.")]) -> None:
    """Download a data set from its authors into the data folder (MLP_DATA), checked, and print where it is."""
    from workloads.data.fetch import fetch

    typer.echo(fetch(name, PlatformEnvironment.read()))


@tracking_app.command("send")
def tracking_send(
    run: Annotated[str, typer.Argument(help="Name of a run, or the file that holds its record.")],
) -> None:
    """Send what the tracking server did not take while a run trained; to do so twice changes nothing."""
    from workloads.tracking.unsent import send_unsent

    typer.echo(f"sent {send_unsent(PlatformEnvironment.read(), run)} values of {run}")


def main() -> None:
    """Run `python -m workloads`; a fault that the user can mend is one clear message on stderr and exit code 1."""
    from workloads.training.launch import end_with_launcher, is_rank, report_to_agent

    signal.signal(signal.SIGTERM, _stop)
    end_with_launcher()
    try:
        set_up(as_json=is_json(PlatformEnvironment.read()))
        app()
    except WorkloadError as error:
        if not report_to_agent(error):
            typer.echo(f"workloads: {error}", err=True)
        sys.exit(RESTART if isinstance(error, Preempted) else 1)
    except Stopped as stopped:
        _end_by(signal.Signals(stopped.signal_number), told=not is_rank())  # of all ranks' the launcher's word will do
    except SystemExit as ended:
        if ended.code != 128 + signal.SIGINT:  # what typer makes of KeyboardInterrupt
            raise
        _end_by(signal.SIGINT, told=not is_rank())
    except OSError as error:  # a full or read-only disk, a folder that may not be written
        if error.filename is None and error.errno is None:
            raise
        where = error.filename or "write failed"
        typer.echo(f"workloads: {error.strerror}: {where}; free or unlock it and try again", err=True)
        sys.exit(1)


def _end_by(signal_: signal.Signals, *, told: bool) -> NoReturn:
    if told:
        typer.echo(f"workloads: ended by {signal_.name}", err=True)
    sys.exit(128 + signal_)


def _stop(signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG001  a signal handler's signature
    raise Stopped(signal_number)


def _uses_torchrun(launcher: str | None, ranks: int) -> bool:
    if launcher not in (None, *LAUNCHERS):
        raise WorkloadError(f"--launcher is {launcher}; it must be one of {', '.join(LAUNCHERS)}")
    if launcher == "local" and ranks > 1:
        raise WorkloadError(f"--launcher local trains in one process; --ranks is {ranks}: use --launcher torchrun")
    return launcher == "torchrun" or ranks > 1


def _train_config(
    config: str | None,
    values: Mapping[str, object],
    run_name: str | None,
    resume: str | None,
    environment: PlatformEnvironment,
) -> TrainConfig:
    """The config that CONFIG names, or the one with which the run to go on with began."""
    if resume is None:
        if config is None:
            raise WorkloadError(f"Name a CONFIG, one of {', '.join(config_names())}, or a run by --resume")
        return load_config(config, values)
    if config is not None or values or run_name is not None:
        raise WorkloadError(
            f"Run {resume} goes on as it was configured; leave out CONFIG, --set, --max-steps, --run-name"
        )
    from workloads.training.resume import config_of, unfinished

    return config_of(unfinished(environment, resume))


def _print_judged(judged: Judged) -> None:
    """Its last line is the accuracy."""
    report = judged.report
    rows = [
        [one.name, str(one.num_samples), _accuracy(one.precision), _accuracy(one.recall), _accuracy(one.f1)]
        for one in report.classes
    ]
    _print_table(["class", "images", "precision", "recall", "F1"], rows)
    for mistake in judged.mistakes[:SHOWN_MISTAKES]:
        typer.echo(
            f"image {mistake.index}: {mistake.predicted} (probability {mistake.probability:.3f}), is {mistake.label}"
        )
    for one in judged.latencies:
        typer.echo(f"latency of {one.batch_size}: median {one.median_ms:.2f} ms, 95 % within {one.p95_ms:.2f} ms")
    typer.echo(f"measured on {judged.machine}")
    typer.echo(f"{judged.size.num_parameters:,} parameters, {judged.size.num_bytes:,} bytes")
    typer.echo(f"calibration error {report.calibration_error:.4f}  loss {report.loss:.4f}  F1 {report.macro_f1:.4f}")
    typer.echo(f"test accuracy {report.accuracy:.4f}")


def _print_table(header: list[str], rows: list[list[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=box.SIMPLE)
    for row in rows:
        table.add_row(*row)
    # Where nobody looks, lines are not to be broken.
    Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL).print(table)


def _accuracy(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _identity(version: Version) -> dict[str, Any]:
    return {"model_name": version.model_name, "version": version.number}


def _listed(version: Version) -> dict[str, Any]:
    return {
        "version": version.number,
        "aliases": list(version.aliases),
        "run_id": version.run_id,
        "dataset": version.dataset,
        "val_accuracy": version.val_accuracy,
        "test_accuracy": version.test_accuracy,
    }

"""A search: trials sampled from the config's space, poor ones stopped early, the best by validation accuracy."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from workloads.config import TrainConfig
from workloads.data.datasets import check as check_data
from workloads.environment import PRICE, PlatformEnvironment
from workloads.errors import Preempted, SearchError, Stopped, TrackingError
from workloads.price import SECONDS_PER_HOUR, price_per_hour
from workloads.ray_cluster import check_head
from workloads.stop_request import StopRequest
from workloads.tracking.connection import check_server
from workloads.tracking.tracker import MlflowTracker
from workloads.training.run import TrainResult, new_run_name
from workloads.tuning.engines import open_engine
from workloads.tuning.folder import SearchFolder, SearchIdentity, name_taken, unfinished
from workloads.tuning.options import ENGINES, OPTUNA, RAY, SearchOptions
from workloads.tuning.record import SearchRecord
from workloads.tuning.retrain import retrain
from workloads.tuning.samplers import SAMPLERS, TrialSampler
from workloads.tuning.states import FAILED
from workloads.tuning.storage import StoredStudy
from workloads.tuning.study import Limits, Study
from workloads.tuning.summary import record_summary
from workloads.tuning.totals import Totals
from workloads.tuning.trials import Trial

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The result of a search."""

    name: str
    run_id: str | None
    """Id of the parent run; None without tracking."""
    trials: list[Trial]
    run_ids: dict[int, str]
    """Run ids by trial number; empty without tracking."""
    best: Trial
    totals: Totals
    ended_by: str | None
    """The limit that ended the search before its last trial, if one did; it can be resumed."""
    seconds: float
    """Time of the search in seconds, in all processes that worked on it."""
    retrained: TrainResult | None
    """Result of the run with the best parameters; None if there was none."""


def search(
    config: TrainConfig, options: SearchOptions, environment: PlatformEnvironment, *, name: str | None = None
) -> SearchResult:
    """Run the trials and return them with the best; raise SearchError if none succeeded, or WorkloadError."""
    check(config, options, environment)
    name = name or new_run_name(config.with_values({"name": f"{config.name}-search"}))
    folder = SearchFolder.of(environment, name)
    if folder and folder.identity():
        raise name_taken(name)
    stored_study = StoredStudy.open(options.storage, folder, name, config.search.space)
    work = _Search(
        name=name, config=config, options=options, environment=environment, folder=folder, stored_study=stored_study
    )
    with ExitStack() as stack:
        if options.tracking:
            work.parent = stack.enter_context(_start_parent(config, options, environment, name))
        if folder:
            identity = SearchIdentity(name=name, config=config.as_data(), options=options.as_data())
            if work.parent:
                identity = replace(identity, run_id=work.parent.run_id, experiment_id=work.parent.experiment_id)
            folder.claim(identity)
            work.attempt = folder.begin_attempt()
        else:
            logger.info("MLP_CHECKPOINTS is not set: the search saves no state and cannot be resumed if stopped")
        stack.pop_all()
    return work.run()


def resume(name: str, changes: Mapping[str, Any], environment: PlatformEnvironment) -> SearchResult:
    """Resume a search as it was begun, except for `changes` of its options; raise as `search` does."""
    folder, identity = unfinished(environment, name)
    config, options = identity.train_config, replace(identity.search_options, **dict(changes))
    check(config, options, environment)
    if options.tracking and identity.run_id is None:
        raise SearchError(f"Search {name} began without a record on a tracking server; resume it with --no-tracking")
    stored_study = StoredStudy.open(options.storage, folder, name, config.search.space)
    work = _Search(
        name=name, config=config, options=options, environment=environment, folder=folder, stored_study=stored_study
    )
    work.attempt = folder.begin_attempt()
    work.earlier = folder.trials()
    if options.tracking and identity.run_id and identity.experiment_id:
        ids = {"run_id": identity.run_id, "experiment_id": identity.experiment_id}
        work.parent = MlflowTracker.resume(environment, **ids)
    return work.run()


def check(config: TrainConfig, options: SearchOptions, environment: PlatformEnvironment) -> None:
    """Raise WorkloadError, within seconds, with every reason for which the search could not run."""
    faults = [
        f"--{name} is {value}; it must be at least 1"
        for name, value in (
            ("num-samples", options.num_trials),
            ("max-concurrent", options.max_concurrent),
            ("ranks-per-trial", options.ranks_per_trial),
        )
        if value is not None and value < 1
    ]
    faults += [
        f"--{name} is {value:g}; it must be above 0"
        for name, value in (("max-hours", options.max_hours), ("budget-usd", options.budget_usd))
        if value is not None and not value > 0
    ]
    faults += [
        f"--{name} is {value}; it must be one of {', '.join(allowed)}"
        for name, value, allowed in (("engine", options.engine, ENGINES), ("sampler", options.sampler, SAMPLERS))
        if value not in allowed
    ]
    if options.gpus_per_trial is not None and (options.engine == OPTUNA or not options.gpus_per_trial >= 0):
        faults.append(f"--gpus-per-trial is {options.gpus_per_trial:g}; it must be 0 or more, and --engine {RAY}")
    if options.ranks_per_trial > config.global_batch_size:
        most = f"global_batch_size, {config.global_batch_size}"
        faults.append(f"--ranks-per-trial is {options.ranks_per_trial}; it must be at most {most}")
    if options.ranks_per_trial > 1 and options.engine == OPTUNA:
        faults.append(f"--ranks-per-trial is {options.ranks_per_trial}; it must be 1, or use --engine {RAY}")
    if options.budget_usd is not None and price_per_hour(environment) is None:
        faults.append(f"--budget-usd is {options.budget_usd:g} and {PRICE} is not set; set it to what an hour costs")
    if not config.search.space:
        faults.append("there is no search space; add search.space, such as optim.lr: {loguniform: [0.01, 1]}")
    if config.search.grace_epochs > config.epochs:
        faults.append(
            f"search.grace_epochs is {config.search.grace_epochs} and a trial has {config.epochs} epochs; raise "
            "--epochs or lower it by --set"
        )
    if faults:
        raise SearchError("\n  ".join([f"Config {config.name} cannot be searched so:", *faults]))
    check_data(config.data.name, environment)
    if options.tracking:
        check_server(environment, can_go_without=True)
    if options.engine == RAY:
        check_head(environment)


def best_of(trials: Sequence[Trial]) -> tuple[Trial, float]:
    """Return the trial with the highest validation accuracy, and that; raise SearchError if none succeeded."""
    ended_well = [(t.val_accuracy, t) for t in trials if t.val_accuracy is not None and t.state != FAILED]
    if not ended_well:
        raise SearchError(
            f"None of {len(trials)} trials ended well; what each raised is above and in its record: "
            "narrow search.space, optim.lr first"
        )
    accuracy, best = max(ended_well, key=lambda pair: pair[0])
    return best, accuracy


def _start_parent(
    config: TrainConfig, options: SearchOptions, environment: PlatformEnvironment, name: str
) -> MlflowTracker:
    params = config.flattened() | {f"search.{key}": str(one.as_data()) for key, one in config.search.space.items()}
    params |= {f"search.{key}": value for key, value in options.as_data().items() if value is not None}
    tags = {"dataset": config.data.name}
    tracker = MlflowTracker.start(environment, experiment=config.name, run_name=name, params=params, tags=tags)
    tracker.log_text(config.as_yaml(), "config.yaml")
    return tracker


@dataclass(kw_only=True)
class _Search:
    """One process's work on a search: the remaining trials, and what follows the last."""

    name: str
    config: TrainConfig
    options: SearchOptions
    environment: PlatformEnvironment
    folder: SearchFolder | None
    stored_study: StoredStudy | None
    attempt: int = 1
    earlier: list[Trial] = field(default_factory=list)
    """Trials of the processes that worked on it before."""
    parent: MlflowTracker | None = None

    def run(self) -> SearchResult:
        """Run the search; raise Preempted where it was asked to stop and can be resumed."""
        with self._with_resend_hint(), self.parent or nullcontext():
            with StopRequest() as stop:
                study, record, usd_per_s = self._run_trials(stop)
            totals = Totals.of(study.trials, num_epochs=self.config.epochs, usd_per_s=usd_per_s)
            run_ids = record.run_ids if record else {}
            if self.parent:
                record_summary(self.parent, study, totals, run_ids, attempt=self.attempt)
            self._raise_if_asked_to_end(stop)
            if record and not record.is_sent:
                raise TrackingError("the tracking server does not answer")
            best, retrained = self._finish(study, totals)
        return SearchResult(
            name=self.name,
            run_id=self.parent.run_id if self.parent else None,
            trials=study.trials,
            run_ids=run_ids,
            best=best,
            totals=totals,
            ended_by=study.ended_by,
            seconds=study.limits.elapsed_s,
            retrained=retrained,
        )

    def _raise_if_asked_to_end(self, stop: StopRequest) -> None:
        try:
            stop.raise_if_requested()
        except (KeyboardInterrupt, Stopped):
            if self.folder is None:
                raise
            raise Preempted(
                f"The search was asked to stop; resume it with: python -m workloads tune --resume {self.name}"
            ) from None

    def _finish(self, study: Study, totals: Totals) -> tuple[Trial, TrainResult | None]:
        """Return the best trial and, once all have ended, the result of retraining; mark the search as finished."""
        retrained = None
        if study.ended_by and not any(trial.results for trial in study.trials):
            again = f"; run more with: python -m workloads tune --resume {self.name}" if self.folder else ""
            raise SearchError(f"The search came to {study.ended_by} before a trial ended an epoch{again}")
        try:
            best, _ = best_of(study.trials)
            if study.is_complete and self.options.retrain_epochs is not None:
                retrained = retrain(self.name, self.config, best, self.options, self.environment)
        except SearchError:
            self._mark_finished(study, totals)
            raise
        self._mark_finished(study, totals)
        return best, retrained

    def _mark_finished(self, study: Study, totals: Totals) -> None:
        if self.folder and study.is_complete:
            self.folder.finish(asdict(totals))

    @contextmanager
    def _with_resend_hint(self) -> Iterator[None]:
        """Add to a TrackingError within the context how to send the record later."""
        try:
            yield
        except TrackingError as error:
            if self.folder is None:
                raise
            raise TrackingError(
                f"The search's results are saved, but not all of them are recorded: {error}; send them, and run the "
                f"trials that are left, by: python -m workloads tune --resume {self.name}"
            ) from error

    def _run_trials(self, stop: StopRequest) -> tuple[Study, SearchRecord | None, float | None]:
        """Run the trials; return the study, its record, and the price of a trial's second in US dollars."""
        price = price_per_hour(self.environment)
        with ExitStack() as stack:
            if self.stored_study:
                stack.callback(self.stored_study.close)
            engine = stack.enter_context(open_engine(self.config, self.options, self.environment))
            stop.install()  # Ray has a handler of its own, which would end the process with the record left open
            usd_per_s = None if price is None else price / SECONDS_PER_HOUR / engine.num_slots
            record = None
            if self.parent:
                tags: dict[str, str] = {"dataset": self.config.data.name}
                record = SearchRecord(self.parent, self.config, name=self.name, tags=tags, usd_per_s=usd_per_s)
                if self.earlier:
                    record.find_runs()
                stack.enter_context(record)
            study = Study(
                self.config,
                num_trials=self.options.num_trials,
                sampler=TrialSampler(self.config.search.space, kind=self.options.sampler, seed=self.config.seed),
                limits=Limits(
                    max_hours=self.options.max_hours,
                    budget_usd=self.options.budget_usd,
                    price_per_hour=price,
                    earlier_s=sum(trial.seconds for trial in self.earlier) / engine.num_slots,
                ),
                folder=self.folder,
                observers=[one for one in (record, self.stored_study) if one],
                trials=self.earlier,
                raise_if_stopped=stop.raise_if_requested,
            )
            try:
                with suppress(KeyboardInterrupt, Stopped):  # `stop` knows
                    engine.run(study)
            finally:
                study.interrupt()
        return study, record, usd_per_s

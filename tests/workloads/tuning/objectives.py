"""Trials that do not train, for workers to import."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workloads.config import TrainConfig, read_config
from workloads.environment import PlatformEnvironment
from workloads.errors import RankLost
from workloads.tuning.folder import SearchFolder
from workloads.tuning.samplers import TrialSampler
from workloads.tuning.study import Limits, Study, TrialObserver
from workloads.tuning.trial import Job, Report, Training
from workloads.tuning.trials import EpochResult

SPACE = {"optim.lr": {"uniform": [0.1, 0.9]}}


def config(num_epochs: int, **search: object) -> TrainConfig:
    data = {"name": "fake", "epochs": num_epochs, "search": {"space": SPACE} | search}
    return read_config(data, {}, source="test")


def study(
    searched: TrainConfig,
    *,
    num_trials: int,
    folder: SearchFolder | None = None,
    limits: Limits | None = None,
    observers: Sequence[TrialObserver] = (),
) -> Study:
    """Of trials that were drawn before, where the folder has some."""
    return Study(
        searched,
        num_trials=num_trials,
        sampler=TrialSampler(searched.search.space, kind="random", seed=0),
        limits=limits or Limits(),
        folder=folder,
        observers=observers,
        trials=folder.trials() if folder else [],
    )


def folder(place: Path) -> SearchFolder:
    found = SearchFolder.of(PlatformEnvironment(checkpoints=str(place)), "search")
    assert found
    return found


def result(epoch: int, value: float, *, seconds: float = 2.0, is_told_again: bool = False) -> EpochResult:
    return EpochResult(
        epoch=epoch,
        step=10 * epoch,
        val_accuracy=value,
        val_loss=1.0,
        train_loss=1.0,
        seconds=seconds,
        ended_at=1000.0 + epoch,
        is_told_again=is_told_again,
    )


@dataclass(frozen=True)
class Pretended:
    """As accurate as its learning rate; logs each epoch to a file; resumes from its state, a file too."""

    num_epochs: int
    log: Path
    seconds: float = 0.0
    """Of an epoch."""
    fails: tuple[int, ...] = ()
    kills_at: tuple[tuple[int, int], ...] = ()
    """Number and epoch at which a trial kills its worker, once."""

    def __call__(self, job: Job, report: Report) -> None:
        """Run the trial."""
        state = Path(job.state_location) / "checkpoints" / "epoch" if job.state_location else None
        done = int(state.read_text()) if state and state.exists() else 0
        if job.number in self.fails:
            raise ValueError("no luck")
        value = float(str(job.params["optim.lr"]))
        for epoch in range(1, done + 1):
            report(result(epoch, value, is_told_again=True))
        for epoch in range(done + 1, self.num_epochs + 1):
            time.sleep(self.seconds)
            self.kill_once(job.number, epoch)
            with self.log.open("a") as log:
                log.write(f"{job.number} {epoch} {os.getpid()}\n")
            if not report(result(epoch, value)):
                return
            if state:
                state.parent.mkdir(parents=True, exist_ok=True)
                state.write_text(str(epoch))

    def kill_once(self, number: int, epoch: int) -> None:
        mark = self.log.with_name(f"killed-{number}-{epoch}")
        if (number, epoch) in self.kills_at and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def epochs(self) -> list[tuple[int, int]]:
        """Number and epoch, of all epochs that were trained."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [(int(number), int(epoch)) for number, epoch, _ in (line.split() for line in lines)]

    def worker(self, number: int, epoch: int) -> str:
        """The process that trained an epoch."""
        [found] = [
            line.split()[2] for line in self.log.read_text().splitlines() if line.startswith(f"{number} {epoch} ")
        ]
        return found


@dataclass(frozen=True)
class Deserted(Pretended):
    """Pretended; once, the first rank of a trial misses another, as where gloo finds out before Ray does."""

    at: tuple[int, int] = (0, 2)
    """Number and epoch."""

    def kill_once(self, number: int, epoch: int) -> None:
        mark = self.log.with_name("deserted")
        if (number, epoch) == self.at and not mark.exists():
            mark.touch()
            raise RankLost("Rank 0 lost another rank of 2: Connection closed by peer")

    def __call__(self, job: Job, report: Report) -> None:
        """Run the trial; ranks but the first have nothing to do."""
        if job.ranks.is_first:
            super().__call__(job, report)


@dataclass(frozen=True, kw_only=True)
class Held(Training):
    """Trains for real; a trial waits at an epoch until `place` has the file `go`, and writes its process id there."""

    place: Path
    at_epoch: int

    def __call__(self, job: Job, report: Report) -> None:
        """Run the trial."""

        def hold_and_report(result_: EpochResult) -> bool:
            if not result_.is_told_again:
                with (self.place / f"epochs-{job.number}").open("a") as log:
                    log.write(f"{result_.epoch}\n")
            if result_.epoch == self.at_epoch:
                (self.place / f"held-{job.number}").write_text(str(os.getpid()))
                while not (self.place / "go").exists():
                    time.sleep(0.01)
            return report(result_)

        super().__call__(job, hold_and_report)


class CannotArrive:
    """Pickled here, and not to be unpickled in a worker."""

    def __call__(self, job: Job, report: Report) -> None:
        """Never reached."""
        raise AssertionError

    def __reduce__(self) -> tuple[type[int], tuple[str]]:
        """What unpickles to an error."""
        return int, ("no number",)


@dataclass(frozen=True, kw_only=True)
class LosesRank(Training):
    """Trains for real; a rank other than the first is killed as it begins to wait for the others' epoch, once."""

    place: Path
    rank: int
    at_epoch: int

    def __call__(self, job: Job, report: Report) -> None:
        """Run the trial."""
        if job.ranks.is_first:

            def kill_and_report(result_: EpochResult) -> bool:
                pid = self.place / f"pid-{self.rank}"
                if result_.epoch == self.at_epoch and pid.exists():
                    os.kill(int(pid.read_text()), signal.SIGKILL)
                    pid.unlink()
                return report(result_)

            super().__call__(job, kill_and_report)
            return
        if job.ranks.rank == self.rank and not (self.place / "killed").exists():
            (self.place / f"pid-{self.rank}").write_text(str(os.getpid()))
            (self.place / "killed").touch()
        super().__call__(job, report)

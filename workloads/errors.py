"""Errors that the user of `python -m workloads` can fix: each ends in one clear message and exit code 1."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """Return the first line of the error's message, or its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class WorkloadError(Exception):
    """An error whose message names the thing, the value found, what is allowed and the next step."""


class ConfigError(WorkloadError):
    """A run configuration that cannot be used; the message lists every error."""


class DataError(WorkloadError):
    """A data set that is missing, damaged or not the one expected."""


class TrainingDiverged(WorkloadError):  # noqa: N818  reads as what happened
    """The loss stopped being a finite number; raised on every rank, with the step and its learning rate."""


class RankLost(WorkloadError):  # noqa: N818  likewise
    """A collective failed because another rank is gone."""


class CheckpointError(WorkloadError):
    """A run that cannot be resumed: its checkpoints are missing, damaged, of another run, or cannot be written."""


class Preempted(WorkloadError):  # noqa: N818  likewise
    """The run was asked to stop, and its state is saved; it can be resumed."""


class TrackingError(WorkloadError):
    """The tracking server cannot be reached, refuses the login or refuses a request."""


class TrackingUnreachable(TrackingError):  # noqa: N818  reads as what happened
    """The tracking server does not answer, or answers with a server error; the login was not checked."""


class RegistryError(WorkloadError):
    """A model, version or alias that does not exist, or a promotion that is refused."""


class ClusterError(WorkloadError):
    """The Ray cluster cannot be reached or used."""


class SearchError(WorkloadError):
    """A search that cannot start, or in which no trial succeeded."""


class Stopped(BaseException):
    """The process was asked to stop by a signal; not an `Exception`, so that only clean-up code catches it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number

"""Faults that the user of `python -m workloads` can mend: each ends in one clear message and exit code 1."""

from __future__ import annotations


class WorkloadError(Exception):
    """What went wrong, the value found, what is allowed and the next step, in one message."""


class ConfigError(WorkloadError):
    """A run configuration that cannot be used; the message lists every fault."""


class DataError(WorkloadError):
    """A data set that is missing, damaged or not the one expected."""


class TrainingDiverged(WorkloadError):  # noqa: N818  reads as what happened
    """The loss stopped being a finite number; raised on every rank, with the step and its learning rate."""


class RankLost(WorkloadError):  # noqa: N818  likewise
    """A collective failed because another rank is gone."""


class CheckpointError(WorkloadError):
    """A run that cannot go on: its checkpoints are missing, damaged, of another run, or cannot be written."""


class Preempted(WorkloadError):  # noqa: N818  likewise
    """The run was asked to end, and its state is saved; it can go on."""


class TrackingError(WorkloadError):
    """The tracking server cannot be reached, refuses the login or refuses a request."""


class TrackingUnreachable(TrackingError):  # noqa: N818  reads as what happened
    """The tracking server does not answer, or not sensibly; nothing is known about the login."""


class RegistryError(WorkloadError):
    """A model, version or alias that is not there, or a promotion that is refused."""


class ClusterError(WorkloadError):
    """The Ray cluster cannot be reached or used."""


class SearchError(WorkloadError):
    """A search that cannot start, or in which no trial ended well."""


class Stopped(BaseException):
    """The process was asked to end by a signal; not an `Exception`, so that only clean-up on the way out sees it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number

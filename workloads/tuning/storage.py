"""The study in Optuna's own storage, for its dashboard and analyses: each finished trial. Nothing is read from it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from workloads.errors import SearchError
from workloads.tuning.folder import SearchFolder
from workloads.tuning.samplers import frozen_trial
from workloads.tuning.space import Dimension
from workloads.tuning.states import ENDED
from workloads.tuning.trials import Trial

logger = logging.getLogger(__name__)

JOURNAL = "study.journal"
DRIVER = "psycopg"
"""SQLAlchemy's driver of a study's database, which the training image's lock brings."""
CONNECT_TIMEOUT_S = 5
FAULTS = (StorageInternalError, SQLAlchemyError, OSError)


class StoredStudy:
    """Stores finished trials in an Optuna study."""

    def __init__(self, study: optuna.Study, storage: BaseStorage, space: Mapping[str, Dimension]) -> None:
        self.study, self.storage, self.space = study, storage, space
        self.names = {trial.user_attrs.get("trial") for trial in study.get_trials(deepcopy=False)}

    @classmethod
    def open(
        cls, storage: str | None, folder: SearchFolder | None, name: str, space: Mapping[str, Dimension]
    ) -> Self | None:
        """Open the study `name` in `storage`, else in a journal in the search's folder, if that is on disk.

        Raises SearchError where it cannot be opened.
        """
        if storage is None:
            if folder is None or "://" in folder.place:
                return None
            storage = f"{folder.place}/{JOURNAL}"
        try:
            backend = _open_storage(storage)
            study = optuna.create_study(storage=backend, study_name=name, direction="maximize", load_if_exists=True)
            return cls(study, backend, space)
        except (ImportError, NoSuchModuleError) as error:
            raise SearchError(
                f"Storage {_redacted(storage)} names the driver {_driver(storage)}, which is not installed here; write "
                f"postgresql://…, which takes {DRIVER}"
            ) from error
        except FAULTS as error:
            fault = " ".join(str(error).split())[:300]
            raise SearchError(f"Storage {_redacted(storage)} cannot be used: {fault}; leave out --storage") from error

    def changed(self, trial: Trial) -> None:
        """Store a finished trial; a storage that fails is logged and does not end the search."""
        if trial.state not in ENDED or trial.name in self.names:
            return
        try:
            self.study.add_trial(frozen_trial(trial, self.space))
        except FAULTS as error:
            logger.warning("%s is not kept in Optuna's storage: %s", trial.name, " ".join(str(error).split())[:300])
        else:
            self.names.add(trial.name)

    def close(self) -> None:
        """Close connections to a database."""
        if isinstance(self.storage, RDBStorage):
            self.storage.remove_session()
            self.storage.engine.dispose()


def _open_storage(storage: str) -> BaseStorage:
    if "://" not in storage:
        Path(storage).parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(storage))
    scheme, _, rest = storage.partition("://")
    if scheme.partition("+")[0] != "postgresql":
        raise SearchError(f"--storage is {_redacted(storage)}; it must be postgresql://… or the path of a journal file")
    arguments = {"connect_timeout": CONNECT_TIMEOUT_S}
    return RDBStorage(
        f"postgresql+{_driver(storage)}://{rest}", engine_kwargs={"connect_args": arguments, "pool_pre_ping": True}
    )


def _driver(storage: str) -> str:
    """Return the driver that the storage's URL names; without one SQLAlchemy's own choice changes with its releases."""
    return urlsplit(storage).scheme.partition("+")[2] or DRIVER


def _redacted(storage: str) -> str:
    """Return the storage's URL with the password redacted."""
    parts = urlsplit(storage)
    return storage.replace(f":{parts.password}@", ":***@") if parts.password else storage

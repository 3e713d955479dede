"""The platform's buckets, and how long each keeps its objects."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra.data.storage import Archive, ObjectStore, ObjectStoreArgs
from infra.environment import Environment
from infra.settings.settings import StorageSettings

ALIAS_HISTORY = "registry/"
"""Prefix in the bucket of artifacts that holds every move of a model's alias."""


@dataclass(frozen=True, kw_only=True)
class StoresArgs:
    """Inputs of `Stores`."""

    environment: Environment
    settings: StorageSettings


class Stores(pulumi.ComponentResource):
    """A bucket each for models, data sets and logs."""

    artifacts: ObjectStore
    datasets: ObjectStore
    logs: ObjectStore

    def __init__(self, name: str, args: StoresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:stores:Stores", name, None, opts)
        self._args, kept = args, args.settings
        # A registered model stays loadable at any age, a log is read once in a year if ever.
        self.artifacts = self._store(
            "artifacts",
            archive=Archive(after_days=kept.archive_after_days, storage_class="GLACIER_IR"),
            written_once=ALIAS_HISTORY,
        )
        self.datasets = self._store("datasets")
        self.logs = self._store(
            "logs",
            archive=Archive(after_days=kept.archive_after_days, storage_class="DEEP_ARCHIVE"),
            expire_after_days=kept.log_retention_days,
            takes_logs=True,
        )
        self.register_outputs({})

    def _store(
        self,
        name: str,
        *,
        archive: Archive | None = None,
        expire_after_days: int | None = None,
        takes_logs: bool = False,
        written_once: str | None = None,
    ) -> ObjectStore:
        return ObjectStore(
            name,
            ObjectStoreArgs(
                environment=self._args.environment,
                noncurrent_days=self._args.settings.noncurrent_days,
                archive=archive,
                expire_after_days=expire_after_days,
                takes_logs=takes_logs,
                written_once=written_once,
            ),
            pulumi.ResourceOptions(parent=self),
        )

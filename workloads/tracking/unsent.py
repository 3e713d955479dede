"""Location of a run's spool: the run's folder, or a folder of this machine for a run in S3.

What is unsent at a checkpoint and at the end of a process is then in the run's store, for the next one, which may be on
another machine.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workloads.checkpoints.run_folder import read_identity, run_store
from workloads.checkpoints.store import FolderStore, Store
from workloads.environment import CHECKPOINTS, PlatformEnvironment
from workloads.errors import CheckpointError, TrackingError
from workloads.tracking.background import send_remaining
from workloads.tracking.connection import LOGIN_STEP, connect
from workloads.tracking.spool import FILE, Spool


@contextmanager
def open_spool(store: Store | None, *, run_id: str, run_name: str) -> Iterator[Spool]:
    """Open the spool of a run whose folder is `store`; what is unsent afterwards is there for the next process.

    Without a folder it is in the machine's temporary folder, where a restarted process finds it.
    """
    if isinstance(store, FolderStore):
        with Spool(store.folder / FILE, run_id=run_id, run_name=run_name) as spool:
            yield spool
        return
    folder = _private_folder() / run_id
    folder.mkdir(exist_ok=True)
    path = folder / FILE
    kept = store.read(FILE) if store else None
    if kept:  # appended to what a killed process left here; the server stores duplicates once
        with path.open("ab") as file:
            file.write(b"\n" + kept if file.tell() else kept)
    spool = Spool(path, run_id=run_id, run_name=run_name)
    try:
        with spool:
            yield spool
    finally:
        if store:
            keep_unsent(store, spool)
        if store or not spool.num_unsent():
            shutil.rmtree(folder)


def keep_unsent(store: Store, spool: Spool) -> None:
    """Put in a run's store what the server may not have and this machine would take with it."""
    if isinstance(store, FolderStore):
        return  # the spool's own place
    left = spool.unsent()
    if left:
        store.write(FILE, left)
    else:
        store.delete(FILE)


def _private_folder() -> Path:
    """Return a temporary folder of this user alone; another user's of that name is not touched."""
    folder = Path(tempfile.gettempdir()) / f"ml-platform-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    is_ours = folder.lstat().st_uid == os.getuid() and not folder.is_symlink()
    return folder if is_ours else Path(tempfile.mkdtemp(prefix="ml-platform-"))


def send_unsent(environment: PlatformEnvironment, run: str) -> int:
    """Send what the run of that name, or a spool's file, still holds; return the number of values.

    Raises TrackingError.
    """
    path = Path(run)
    if path.is_file():
        found = Spool.open_existing(path)
        if found is None:
            raise TrackingError(f"{path} is not the record of a run; such a file is named {FILE}")
        with found as spool:
            return send_remaining(connect(environment), spool)
    store = run_store(environment, run)
    if store is None:
        raise TrackingError(
            f"There is no file {run}, and {CHECKPOINTS} is not set, so no run is known by its name; set it to the "
            f"folder or s3:// prefix that holds the runs, or {LOGIN_STEP}"
        )
    identity = read_identity(store)
    if identity is None:
        raise CheckpointError(f"There is no run {run} in {environment.checkpoints}; a run's folder has its name")
    if identity.run_id is None:
        return 0
    with open_spool(store, run_id=identity.run_id, run_name=run) as spool:
        return send_remaining(connect(environment), spool)

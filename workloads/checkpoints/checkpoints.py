"""A run's checkpoints: all state that the next step depends on, written while it trains, verified when read."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import pickle
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from workloads.checkpoints.store import Store
from workloads.errors import CheckpointError

logger = logging.getLogger(__name__)

FOLDER = "checkpoints/"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Metadata of a checkpoint. It is written last, so a checkpoint with a manifest is complete."""

    step: int
    """Optimizer steps done."""
    sha256: str
    """SHA-256 of the state's file, in hex."""
    size: int
    """Size of the state's file, in bytes."""
    score: float | None
    """Validation accuracy, if the checkpoint was taken at an evaluation."""
    time: float
    """Unix time at which the checkpoint was complete, in seconds."""
    format: int = FORMAT

    @property
    def data_name(self) -> str:
        """Name of the state's file."""
        return f"{FOLDER}{self.step:09}.pt"

    @property
    def name(self) -> str:
        """Name of this manifest's own file."""
        return f"{FOLDER}{self.step:09}.json"


class Checkpoints:
    """Writes a run's checkpoints, one after the other in the background, and loads the newest complete one.

    The newest `keep_last` are retained, and the one with the best score. `before_save` is called, in the background,
    before a checkpoint counts, and `on_saved` with its manifest once it is complete. Leaving the context waits until
    everything is written.
    """

    def __init__(
        self,
        store: Store,
        *,
        keep_last: int = 2,
        before_save: Callable[[], None] = lambda: None,
        on_saved: Callable[[Manifest], None] = lambda _: None,
    ) -> None:
        self.store, self.keep_last, self.before_save, self.on_saved = store, keep_last, before_save, on_saved
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._pending: Future[None] | None = None

    def save(self, step: int, state: Mapping[str, Any], *, score: float | None = None) -> None:
        """Copy `state`, a nest of mappings, lists, tensors and plain values, and write it in the background.

        Waits for the previous write; raises its error, an OSError (a full disk) or CheckpointError.
        """
        self.wait()
        self._pending = self._writer.submit(self._write, step, copy_to_cpu(state), score)

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until everything is written; raise the writer's error, or TimeoutError after `timeout_s`."""
        if self._pending is not None:
            self._pending.result(timeout_s)
            self._pending = None

    def newest(self) -> dict[str, Any] | None:
        """Load the state of the newest complete checkpoint, its tensors on the CPU; return None if there never was one.

        A damaged one is skipped with a warning. Raises CheckpointError if all are damaged.
        """
        manifests = self._manifest_names()
        for name in reversed(manifests):
            try:
                return self._read(name)
            except CheckpointError as error:
                logger.warning("%s; resuming from the one before it", error)
        if manifests:
            raise CheckpointError(f"All {len(manifests)} checkpoints of the run are damaged; start a new run")
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.wait()
        finally:
            self._writer.shutdown()

    def _write(self, step: int, state: Mapping[str, Any], score: float | None) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        data = buffer.getvalue()
        digest = hashlib.sha256(data).hexdigest()
        manifest = Manifest(step=step, sha256=digest, size=len(data), score=score, time=time.time())
        self.store.write(manifest.data_name, data)
        self.before_save()
        self.store.write(manifest.name, json.dumps(asdict(manifest)).encode())
        self.on_saved(manifest)
        self._prune()

    def _prune(self) -> None:
        """Delete old checkpoints, the manifest first, so that a checkpoint with a manifest is always complete."""
        manifests = []
        for name in self._manifest_names():
            try:
                manifests.append(self._manifest(name))
            except CheckpointError:  # damaged: `newest` warns when it matters
                continue
        manifests.sort(key=lambda one: one.step)
        kept = {one.step for one in manifests[-self.keep_last :]}
        scored = [one for one in manifests if one.score is not None]
        if scored:
            kept.add(max(scored, key=lambda one: (one.score, one.step)).step)
        for one in manifests:
            if one.step not in kept:
                self.store.delete(one.name)
                self.store.delete(one.data_name)

    def _manifest_names(self) -> list[str]:
        return [name for name in self.store.names(FOLDER) if name.endswith(".json")]

    def _manifest(self, name: str) -> Manifest:
        text = self.store.read(name)
        try:
            data = json.loads(text or b"")
            if data["format"] > FORMAT:
                raise CheckpointError(f"Checkpoint {name} has format {data['format']}; this code reads up to {FORMAT}")
            return Manifest(**data)
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointError(f"Checkpoint {name} is damaged: its description cannot be read") from error

    def _read(self, name: str) -> dict[str, Any]:
        manifest = self._manifest(name)
        data = self.store.read(manifest.data_name)
        if data is None:
            raise CheckpointError(f"Checkpoint {manifest.data_name} is missing")
        if len(data) != manifest.size or hashlib.sha256(data).hexdigest() != manifest.sha256:
            raise CheckpointError(
                f"Checkpoint {manifest.data_name} is damaged: {len(data)} bytes are not the {manifest.size} written"
            )
        try:
            state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise CheckpointError(
                f"Checkpoint {manifest.data_name} holds more than tensors and plain values, and is not read"
            ) from error
        return state


def copy_to_cpu(value: Any) -> Any:
    """Return the value with a copy of every tensor, on the CPU: training continues with the originals."""
    match value:
        case Tensor():
            return value.detach().to("cpu", copy=True)
        case Mapping():
            return {key: copy_to_cpu(item) for key, item in value.items()}
        case list() | tuple():
            return type(value)(copy_to_cpu(item) for item in value)
        case _:
            return value

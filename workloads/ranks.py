"""The ranks of a run, and how they communicate."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from workloads.errors import RankLost, WorkloadError, first_line

if TYPE_CHECKING:
    import torch
    from torch._C._distributed_c10d import Store

STORE_FILE = "MLP_RENDEZVOUS_FILE"
"""Variable set by our own launcher: a file that is the ranks' rendezvous on one machine, so that no port is opened."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process's rank among those of the run."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    store_file: str | None = None
    """Path of the rendezvous file of ranks on one machine."""
    store_address: str | None = None
    """`host:port` of the TCPStore that is the rendezvous of ranks on several machines."""
    started_by_torchrun: bool = False
    restarts: int = 0
    """Number of times that the ranks were restarted."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Ranks:
        """Read the ranks from torchrun's variables; a process that it did not start is the only rank."""
        if "RANK" not in environ:
            return cls()
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        try:
            rank, world_size, local_rank, local_world_size = (int(environ[name]) for name in names)
        except (KeyError, ValueError):
            found = ", ".join(f"{name}={environ.get(name, '')}" for name in names)
            raise WorkloadError(
                f"RANK is set, but what torchrun sets with it is not all numbers ({found}); unset RANK or use torchrun"
            ) from None
        return cls(
            rank=rank,
            world_size=world_size,
            local_rank=local_rank,
            local_world_size=local_world_size,
            store_file=environ.get(STORE_FILE),
            started_by_torchrun=True,
            restarts=int(environ.get("TORCHELASTIC_RESTART_COUNT", "0")),
        )

    @property
    def is_first(self) -> bool:
        """Whether this is global rank 0, which alone writes shared files and talks to the tracking server."""
        return self.rank == 0


@contextmanager
def process_group(ranks: Ranks, device: torch.device, timeout_s: float) -> Iterator[None]:
    """Join the ranks (gloo on CPU, NCCL on CUDA) for as long as the context lasts; do nothing for one rank."""
    if ranks.world_size == 1:
        yield
        return
    import torch.distributed as dist

    if dist.is_initialized():  # by Ray Train, which destroys it too
        yield
        gc.collect()
        return
    join_process_group(ranks, device, timeout_s)
    try:
        yield
    finally:
        # A DDP wrapper that is left for the interpreter's end aborts the process there in about every third run: gloo's
        # threads still hold its tensors (seen with torch 2.13; https://github.com/pytorch/pytorch/pull/179291).
        gc.collect()
        dist.destroy_process_group()


@contextmanager
def detect_lost_ranks(ranks: Ranks) -> Iterator[None]:
    """Raise RankLost within the context where a collective fails because another rank is gone.

    Other errors are raised unchanged.
    """
    try:
        yield
    except RuntimeError as error:
        import torch.distributed as dist

        names_transport = any(word in str(error) for word in ("gloo", "NCCL", "closed by peer", "Connection reset"))
        if ranks.world_size == 1 or not (isinstance(error, dist.DistError) or names_transport):
            raise
        raise RankLost(f"Rank {ranks.rank} lost another rank of {ranks.world_size}: {first_line(error)}") from error


def join_process_group(ranks: Ranks, device: torch.device, timeout_s: float) -> None:
    """Join the ranks, by gloo on CPU and NCCL on CUDA; the caller destroys the group or ends the process."""
    import torch.distributed as dist

    store = _store(ranks, timeout_s)
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=store,
        rank=ranks.rank if store else -1,
        world_size=ranks.world_size if store else -1,
        timeout=timedelta(seconds=timeout_s),
    )


def _store(ranks: Ranks, timeout_s: float) -> Store | None:
    """Return the rendezvous store; None where torch reads torchrun's variables."""
    from torch._C._distributed_c10d import FileStore, TCPStore

    if ranks.store_file:
        # A new file for each restart: the previous one may hold stale keys.
        return FileStore(f"{ranks.store_file}-{ranks.restarts}", ranks.world_size)
    if ranks.store_address:
        host, _, port = ranks.store_address.rpartition(":")
        return TCPStore(host, int(port), timeout=timedelta(seconds=timeout_s))
    return None


def num_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

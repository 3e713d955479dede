"""Distributed data parallel training: gradients are averaged over the ranks, compressed as configured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import GradBucket
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import (
    allreduce_hook,
    bf16_compress_hook,
    fp16_compress_hook,
)
from torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook import PowerSGDState, powerSGD_hook
from torch.nn.parallel import DistributedDataParallel

from workloads.config import DistributedConfig
from workloads.errors import WorkloadError

Hook = Callable[[Any, GradBucket], torch.futures.Future[Tensor]]


class DistributedModel:
    """A module wrapped in DDP, so that its gradients become the mean over the ranks.

    Raises WorkloadError where the ranks' transport does not support the configured compression.
    """

    def __init__(self, module: nn.Module, config: DistributedConfig, device: torch.device) -> None:
        if config.compression == "bf16" and dist.get_backend() != "nccl":
            raise WorkloadError(
                f"distributed.compression is bf16, which {dist.get_backend()}, the transport between ranks on "
                f"{device.type}, cannot send; use fp16, power_sgd or none"
            )
        self.model = DistributedDataParallel(
            module,
            device_ids=[device.index] if device.type == "cuda" else None,
            forward_sync_buffers=False,  # done before each evaluation
            gradient_as_bucket_view=True,
            bucket_cap_mb=config.bucket_mib,
            static_graph=config.static_graph,
        )
        self.is_warm_up = False
        self.power_sgd: PowerSGDState | None = None
        hook: Hook | None = None
        match config.compression:
            case "fp16":
                hook = fp16_compress_hook
            case "bf16":
                hook = bf16_compress_hook
            case "power_sgd":
                self.power_sgd = PowerSGDState(
                    None,
                    matrix_approximation_rank=config.power_sgd_rank,
                    start_powerSGD_iter=config.power_sgd_start_step,
                )
                hook = powerSGD_hook
        if hook:
            self.model.register_comm_hook(self.power_sgd, self._except_in_warm_up(hook))

    def _except_in_warm_up(self, hook: Hook) -> Hook:
        """Return the hook, except in warm-up, which leaves no trace in the hook's state."""

        plain_hook: Hook = allreduce_hook

        def chosen(state: Any, bucket: GradBucket) -> torch.futures.Future[Tensor]:
            return plain_hook(None, bucket) if self.is_warm_up else hook(state, bucket)

        chosen.__annotations__ = {"bucket": GradBucket, "return": torch.futures.Future[Tensor]}  # DDP checks them
        return chosen

    def state(self) -> dict[str, Any] | None:
        """Return PowerSGD's state, the same on every rank, or None without it.

        A collective: every rank must call it.
        """
        if self.power_sgd is None:
            return None
        return {
            "iter": self.power_sgd.iter,
            "ps": dict(self.power_sgd.p_memory_dict),
            "qs": dict(self.power_sgd.q_memory_dict),
            # Compression errors differ by rank.
            "errors": {bucket: _gathered(error) for bucket, error in sorted(self.power_sgd.error_dict.items())},
        }

    def restore(self, state: Mapping[str, Any] | None, device: torch.device) -> None:
        """Restore a state that `state` returned.

        A different number of ranks drops the compression errors, which are small.
        """
        if state is None or self.power_sgd is None:
            return
        self.power_sgd.iter = state["iter"]
        self.power_sgd.p_memory_dict = {bucket: p.to(device) for bucket, p in state["ps"].items()}
        self.power_sgd.q_memory_dict = {bucket: q.to(device) for bucket, q in state["qs"].items()}
        self.power_sgd.error_dict = {
            bucket: errors[dist.get_rank()].to(device)
            for bucket, errors in state["errors"].items()
            if len(errors) == dist.get_world_size()
        }


def _gathered(own: Tensor) -> list[Tensor]:
    """Return the tensor of each rank; a collective."""
    tensors = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(tensors, own)
    return tensors

"""The gradient of a batch, accumulated over micro-batches that fit the memory."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from workloads.errors import WorkloadError

logger = logging.getLogger(__name__)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Data type of the products by the name of the precision."""


class Gradients:
    """Computes gradients of `model` (or its DDP wrapper), in micro-batches of at most `micro_batch_size` images.

    When the device runs out of memory the micro-batch is halved, and the batch is computed again from the beginning.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        device: torch.device,
        precision: str,
        scaler: GradScaler,
        label_smoothing: float,
        micro_batch_size: int | None,
    ) -> None:
        self.model, self.device, self.precision, self.scaler = model, device, precision, scaler
        self.label_smoothing, self.micro_batch_size = label_smoothing, micro_batch_size
        self._buffers_before = [torch.empty_like(buffer) for buffer in model.buffers()]

    def backward(self, images: Tensor, targets: Tensor, *, weight: float, seed: int, sync: bool = True) -> Tensor:
        """Store `weight` times the gradient of the summed loss in the parameters; return the summed loss, detached.

        `images` are uint8 [B, C, H, W], or float32 after MixUp; `targets` are int64 [B], or float32 [B, classes]; the
        loss is float32 []. The gradients have the parameters' shapes and dtype, times the scale of the fp16 scaler if
        that is enabled. Among several ranks they are all-reduced with the last micro-batch, once, unless not `sync`.
        `seed` is that of dropout. Raises WorkloadError when one image does not fit the memory, or when memory runs out
        while other ranks already wait in the all-reduce.
        """
        with torch.no_grad():
            for before, buffer in zip(self._buffers_before, self.model.buffers(), strict=True):
                before.copy_(buffer)
        while True:
            torch.manual_seed(seed)
            self.clear()
            loss = self._try_backward(images, targets, weight, sync=sync)
            if loss is not None:
                return loss
            self.restore_buffers()

    def clear(self) -> None:
        """Delete the gradients."""
        for parameter in self.model.parameters():
            parameter.grad = None

    def restore_buffers(self) -> None:
        """Restore the buffers, such as BatchNorm's statistics, to their values before the last `backward`."""
        with torch.no_grad():
            for before, buffer in zip(self._buffers_before, self.model.buffers(), strict=True):
                buffer.copy_(before)

    def _try_backward(self, images: Tensor, targets: Tensor, weight: float, *, sync: bool) -> Tensor | None:
        """Return the summed loss, float32 []; or None after running out of memory, with the micro-batch now halved."""
        size = self.micro_batch_size or len(images)
        loss = torch.zeros((), device=self.device)
        others_wait = False
        try:
            for first in range(0, len(images), size):
                others_wait = sync and first + size >= len(images) and isinstance(self.model, DistributedDataParallel)
                with nullcontext() if others_wait else self._no_sync():
                    micro_batch = slice(first, first + size)
                    loss += self._backward_micro_batch(images[micro_batch], targets[micro_batch], weight)
        except torch.OutOfMemoryError:
            # Leave the handler before the next attempt: the traceback refers to the tensors that fill the memory.
            pass
        else:
            return loss
        self._halve(min(size, len(images)), others_wait=others_wait)
        return None

    def _backward_micro_batch(self, images: Tensor, targets: Tensor, weight: float) -> Tensor:
        """Add the gradients of one micro-batch; return its summed loss, float32 [], detached."""
        with torch.autocast(self.device.type, dtype=DTYPES[self.precision], enabled=self.precision != "fp32"):
            logits = self.model(images)
        loss = cross_entropy(logits.float(), targets, reduction="sum", label_smoothing=self.label_smoothing)
        self.scaler.scale(loss * weight).backward()  # type: ignore[no-untyped-call]  # torch's own gap
        return loss.detach()

    def _no_sync(self) -> AbstractContextManager[object]:
        return self.model.no_sync() if isinstance(self.model, DistributedDataParallel) else nullcontext()

    def _halve(self, size: int, *, others_wait: bool) -> None:
        smaller = size // 2
        if smaller == 0:
            raise WorkloadError(
                "The device's memory does not hold one image's activations; use a smaller model, or compute.precision"
            )
        if others_wait:
            raise WorkloadError(
                f"The device's memory was full with {size} images at once while other ranks waited; start again with "
                f"--set compute.micro_batch_size={smaller}"
            )
        self.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        logger.warning("out of memory with %d images at once: continuing with %d", size, smaller)
        self.micro_batch_size = smaller

"""Batches of a split's images on the device that trains on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from workloads.data.dataset import Split
from workloads.data.folder_images import FolderImages


def batches(
    split: Split, samples: Sequence[Tensor], device: torch.device, num_workers: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield each int64 [B] of `samples` with its images, uint8 [B, C, H, W], and labels, int64 [B], on the device.

    Images in memory, which is that of the device after `Split.on`, are indexed there; those in files are read ahead by
    `num_workers` processes.
    """
    if not samples:
        return
    here = torch.split(
        torch.cat(list(samples)).to(device), [len(each) for each in samples]
    )  # one copy instead of one per step
    if isinstance(split.images, FolderImages):
        loaded = split.images.batches(samples, num_workers=num_workers, pin_memory=device.type == "cuda")
        for at, images in zip(here, loaded, strict=True):
            yield at, images.to(device, non_blocking=True), split.labels[at]
        return
    for at in here:
        yield at, split.images.index_select(0, at), split.labels[at]

"""A cache of decoded data sets: files of plain bytes that are memory-mapped, so ranks and runs share the pages."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from workloads.data.dataset import Dataset, Split

logger = logging.getLogger(__name__)
FORMAT = 1


def load_cached(name: str, files: Sequence[Path], build: Callable[[], Dataset], folder: Path) -> Dataset:
    """Load the data set from its cache in `folder`, or `build` it from `files` and cache it.

    A folder that cannot be written only costs time. Raises DataError where `build` does.
    """
    path = folder / f"{name}-{_key(files)}.safetensors"
    dataset = _read(path, name) if path.is_file() else None
    if dataset is None:
        dataset = build()
        try:
            _write(path, dataset)
        except OSError as error:
            logger.info("%s is not kept unpacked: %s", name, error)
    return dataset


def _key(files: Sequence[Path]) -> str:
    """Return a hash of the files' paths, sizes and modification times."""
    stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr((FORMAT, stats)).encode()).hexdigest()[:16]


def _write(path: Path, dataset: Dataset) -> None:
    """Write a temporary file, then rename it."""
    from safetensors.torch import save_file

    tensors = {
        f"{split}.{part}": tensor.contiguous()
        for split, value in (("train", dataset.train), ("test", dataset.test))
        for part, tensor in (("images", value.images[:]), ("labels", value.labels))
    }
    metadata = {"version": dataset.version, "class_names": json.dumps(dataset.class_names)}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        save_file(tensors, temporary, metadata)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _read(path: Path, name: str) -> Dataset | None:
    """Return the memory-mapped data set, or None if the file is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            train, test = (
                Split(images=file.get_tensor(f"{split}.images"), labels=file.get_tensor(f"{split}.labels"))
                for split in ("train", "test")
            )
        class_names = tuple(json.loads(metadata["class_names"]))
        dataset = Dataset(name=name, train=train, test=test, class_names=class_names)
        if dataset.version == metadata["version"]:
            return dataset
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        pass
    logger.warning("%s is damaged; it is built again", path)
    return None

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import torch

from workloads.data.cifar import CIFAR10, CIFAR100, CifarDataset
from workloads.data.datasets import load
from workloads.environment import PlatformEnvironment
from workloads.errors import DataError

NAMES10 = b"airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n"
BOTH = pytest.mark.parametrize("source", [CIFAR10, CIFAR100], ids=lambda source: source.name)


def record(source: CifarDataset, label: int) -> bytes:
    """The label, and pixels that count up, red from 0, green from 1, blue from 2."""
    labels = bytes([label]) if source.num_labels == 1 else bytes([19, label])
    return labels + b"".join(bytes((channel + at) % 256 for at in range(1024)) for channel in range(3))


def contents(source: CifarDataset) -> dict[str, bytes]:
    names = NAMES10 if source is CIFAR10 else b"\n".join(b"class%d" % number for number in range(100))
    files = {name: b"".join(record(source, at) for at in range(3)) for name in source.train_files}
    return files | {source.test_file: record(source, 9) * 2, source.names_file: names}


def put(source: CifarDataset, folder: Path, *, packed: bool, files: dict[str, bytes] | None = None) -> Path:
    """The data set below `folder`; where its files are."""
    files = contents(source) if files is None else files
    place = folder / source.name
    if not packed:
        place = place / source.unpacked
    place.mkdir(parents=True)
    if not packed:
        for name, content in files.items():
            (place / name).write_bytes(content)
        return place
    with tarfile.open(place / source.archive, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{source.unpacked}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return place


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "unpacked"])
@BOTH
def test_records_become_colour_images_with_fine_labels(source: CifarDataset, packed: bool, tmp_path: Path) -> None:
    put(source, tmp_path, packed=packed)
    dataset = load(source.name, PlatformEnvironment(data=str(tmp_path)))
    assert dataset.train.images.shape == (3 * len(source.train_files), 3, 32, 32)
    assert dataset.train.labels.tolist() == [0, 1, 2] * len(source.train_files)
    assert dataset.test.labels.tolist() == [9, 9]
    assert dataset.test.images[0, :, 0, :3].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert dataset.test.images[0, 0, 1, 0] == 32  # row by row
    assert len(dataset.class_names) == source.num_classes
    assert dataset.train.images.dtype == torch.uint8
    assert dataset.train.labels.dtype == torch.int64


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "unpacked"])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("test_batch.bin", b"\x00" * 3072, "holds 3072 bytes; they must be whole records", id="cut"),
        pytest.param("test_batch.bin", b"", "holds 0 bytes", id="empty"),
        pytest.param("test_batch.bin", record(CIFAR10, 10), "has label 10; the largest is 9", id="no such class"),
        pytest.param("batches.meta.txt", b"cat\ndog\n", "has 2 names; there are 10 classes", id="names"),
    ],
)
def test_a_damaged_file_is_named(name: str, content: bytes, message: str, packed: bool, tmp_path: Path) -> None:
    put(CIFAR10, tmp_path, packed=packed, files=contents(CIFAR10) | {name: content})
    with pytest.raises(DataError) as raised:
        load("cifar10", PlatformEnvironment(data=str(tmp_path)))
    assert name in str(raised.value)
    assert message in str(raised.value)


def test_an_archive_that_is_cut_or_not_the_binary_version_is_named(tmp_path: Path) -> None:
    archive = put(CIFAR10, tmp_path, packed=True) / CIFAR10.archive
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz is damaged: it cannot be unpacked"):
        CIFAR10.load(archive.parent)
    archive.unlink()
    archive.parent.rmdir()
    put(CIFAR10, tmp_path, packed=True, files={"data_batch_1": b"a pickle"})
    with pytest.raises(DataError, match=r"lacks cifar-10-batches-bin/data_batch_1\.bin; it must be the binary version"):
        CIFAR10.load(archive.parent)


def test_the_python_version_alone_is_not_the_data_set_and_the_command_that_gets_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "cifar-10-python.tar.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"not in .*cifar10; run `python -m workloads data fetch cifar10`"):
        load("cifar10", PlatformEnvironment(data=str(tmp_path)))

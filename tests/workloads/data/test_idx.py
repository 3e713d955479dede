from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from workloads.data.idx import read_idx
from workloads.errors import DataError


def idx(sizes: tuple[int, ...], *, kind: int = 0x08, num_bytes: int | None = None) -> bytes:
    """An idx file whose bytes count up from 0."""
    count = num_bytes if num_bytes is not None else int(torch.tensor(sizes).prod())
    header = struct.pack(f">BBBB{len(sizes)}I", 0, 0, kind, len(sizes), *sizes)
    return header + bytes(at % 256 for at in range(count))


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_file_is_read_whether_compressed_or_not(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(idx((2, 3, 4))) if packed else idx((2, 3, 4)))
    assert torch.equal(read_idx(path, num_dims=3), torch.arange(24, dtype=torch.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(
            lambda content: content[:-5], "holds 19 bytes after a header that promises 2 x 3 x 4 = 24", id="short"
        ),
        pytest.param(lambda content: content + b"x", "holds 25 bytes after", id="long"),
        pytest.param(lambda content: content[:9], "holds 9 bytes; the header alone takes 16", id="header cut"),
        pytest.param(lambda content: b"", "holds 0 bytes", id="nothing in it"),
        pytest.param(lambda content: b"PK" + content[2:], "starts with 0x504b0803", id="another format"),
        pytest.param(lambda content: idx((24,)), "starts with 0x00000801", id="labels for images"),
        pytest.param(lambda content: idx((2, 3, 4), kind=0x0D), "starts with 0x00000d03", id="floats"),
        pytest.param(lambda content: idx((0, 28, 28)), "is empty: its header says 0 x 28 x 28", id="no images"),
        pytest.param(lambda content: gzip.compress(content)[:-12], "cannot be unpacked", id="gzip cut"),
        pytest.param(
            lambda content: gzip.compress(content)[:14] + b"\xff\xff\xff\xff" + gzip.compress(content)[18:],
            "cannot be unpacked",
            id="gzip corrupt",
        ),
    ],
)
def test_a_damaged_file_is_named_with_what_was_expected(
    tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(idx((2, 3, 4))))
    with pytest.raises(DataError) as raised:
        read_idx(path, num_dims=3)
    assert str(raised.value).startswith(f"{path} is damaged")
    assert message in str(raised.value)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path, num_dims=1)

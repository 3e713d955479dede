"""The idx format of the MNIST family: a magic number, big-endian sizes, bytes (http://yann.lecun.com/exdb/mnist/)."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from workloads.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

UNSIGNED_BYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: Path, *, num_dims: int) -> Tensor:
    """Read the array in an idx file, plain or compressed by gzip, as uint8 with `num_dims` dimensions.

    Raises DataError that names the file, what was found and what was expected.
    """
    import torch

    content = _content(path)
    header_size = 4 + 4 * num_dims
    if len(content) < header_size:
        raise _damaged(path, f"holds {len(content)} bytes; the header alone takes {header_size}")
    magic, expected = content[:4], bytes((0, 0, UNSIGNED_BYTE, num_dims))
    if magic != expected:
        raise _damaged(
            path, f"starts with 0x{magic.hex()}; {num_dims} dimensions of bytes start with 0x{expected.hex()}"
        )
    sizes = [int.from_bytes(content[at : at + 4], "big") for at in range(4, header_size, 4)]
    shape, num_bytes = " x ".join(map(str, sizes)), len(content) - header_size
    if num_bytes != math.prod(sizes):
        raise _damaged(path, f"holds {num_bytes} bytes after a header that promises {shape} = {math.prod(sizes)}")
    if not num_bytes:
        raise _damaged(path, f"is empty: its header says {shape}")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=header_size).reshape(sizes)


def _content(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw.startswith(GZIP_MAGIC) else raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(path, f"is compressed by gzip and cannot be unpacked ({error})") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _damaged(path: Path, why: str) -> DataError:
    return DataError(f"{path} is damaged: it {why}; remove it and provide the data set again")

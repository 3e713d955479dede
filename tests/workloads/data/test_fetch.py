from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from workloads.data.fetch import download, fetch
from workloads.environment import PlatformEnvironment
from workloads.errors import DataError

FILES = {"a.gz": b"first", "b.gz": b"second"}
SHA256 = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        """Nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The address of a web server that offers FILES."""
    folder = tmp_path / "site"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_files_arrive_from_the_first_source_that_has_them(site: str, tmp_path: Path) -> None:
    download(SHA256, [f"{site}/nowhere", site], tmp_path / "data" / "set")
    assert {path.name: path.read_bytes() for path in (tmp_path / "data" / "set").iterdir()} == FILES


def test_a_file_that_is_not_the_official_one_is_refused_and_nothing_is_kept(site: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"b\.gz could not be fetched; nothing was kept\. .* must be 0000"):
        download(SHA256 | {"b.gz": "0" * 64}, [site], tmp_path / "data" / "set")
    assert list((tmp_path / "data").iterdir()) == []


def test_without_a_network_the_message_says_so_and_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing was kept.*refused"):
        download(SHA256, ["http://127.0.0.1:1"], tmp_path / "data" / "set")
    assert list((tmp_path / "data").iterdir()) == []


def test_digits_need_no_fetching() -> None:
    assert (fetch("digits", PlatformEnvironment()) / "digits.csv.gz").is_file()

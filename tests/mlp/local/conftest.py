from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlp.local import processes
from mlp.local.home import Home, prepare


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A prepared home; whatever still runs for it is ended when the test is over."""
    made = Home(tmp_path / "home")
    prepare(made)
    yield made
    left = [process for found in processes.marked({str(made.path)}).values() for process in found]
    for process in processes.process_tree(left):
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder that other users can pass through, unlike pytest's own: PostgreSQL does not run as root."""
    path = Path(tempfile.mkdtemp(prefix="mlp-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)

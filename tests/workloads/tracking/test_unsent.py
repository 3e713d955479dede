from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from workloads.tracking.unsent import open_spool


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's temporary folder."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_run_without_a_folder_has_its_record_where_this_user_alone_may_look(temporary: Path) -> None:
    with open_spool(None, run_id="1", run_name="a") as spool:
        spool.add_text("a", "file.txt")
    private = temporary / f"ml-platform-{os.getuid()}"
    assert spool.path.parent == private / "1"
    assert private.stat().st_mode & 0o077 == 0
    with open_spool(None, run_id="1", run_name="a") as spool:  # a process that is started anew
        assert spool.num_unsent() == 1


def test_a_link_that_another_left_in_the_folders_place_is_not_followed(temporary: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (temporary / f"ml-platform-{os.getuid()}").symlink_to(elsewhere)
    with open_spool(None, run_id="1", run_name="a") as spool:
        spool.add_text("a", "file.txt")
    assert spool.path.is_relative_to(temporary)
    assert list(elsewhere.iterdir()) == []

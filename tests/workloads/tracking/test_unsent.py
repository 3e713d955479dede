from __future__ import annotations

import os
import tempfile
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from workloads.checkpoints.store import S3Store
from workloads.tracking.spool import FILE
from workloads.tracking.unsent import keep_unsent, open_spool


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


def test_what_a_lost_machine_had_not_sent_is_with_the_run_in_s3(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    other_machine = tmp_path / "other"
    other_machine.mkdir()
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="runs")
        store = S3Store("runs", "a")
        with open_spool(store, run_id="1", run_name="a") as spool:  # not left before the next machine begins
            for step in range(3):
                spool.add_metrics({"loss": step}, step, time_ms=step)
                if step == 0:
                    spool.mark_sent(spool.next_batch())
            keep_unsent(store, spool)
            monkeypatch.setattr(tempfile, "tempdir", str(other_machine))
            with open_spool(store, run_id="1", run_name="a") as next_spool:
                batch = next_spool.next_batch()
                assert [point.step for point in batch.points] == [1, 2]
                next_spool.mark_sent(batch)
                keep_unsent(store, next_spool)
                assert store.read(FILE) is None

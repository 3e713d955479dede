from __future__ import annotations

import os
from pathlib import Path

import pytest

from workloads.tracking.spool import BATCH_POINTS, FILE, Spool


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / FILE


def spool_at(path: Path) -> Spool:
    return Spool(path, run_id="1", run_name="a")


def test_what_was_added_is_there_for_the_next_process_whole_and_in_order(path: Path) -> None:
    with spool_at(path) as spool:
        spool.add_metrics({"loss": 0.1 + 0.2, "lr": 1e-17}, 3, 1_700_000_000_123)
        spool.add_text("a\nb", "file.txt")
        spool.add_tags({"a": "b"})
    with spool_at(path) as spool:
        batch = spool.next_batch()
    assert [(p.key, p.value, p.step, p.time_ms) for p in batch.points] == [
        ("loss", 0.1 + 0.2, 3, 1_700_000_000_123),
        ("lr", 1e-17, 3, 1_700_000_000_123),
    ]
    assert (batch.texts, batch.tags, batch.status) == ({"file.txt": "a\nb"}, {"a": "b"}, None)


def test_a_line_that_a_crash_cut_off_costs_only_itself(path: Path) -> None:
    with spool_at(path) as spool:
        spool.add_metrics({"loss": 1.0}, 1, 0)
    with path.open("ab") as file:
        file.write(b'{"metrics": {"loss": 2')
    with spool_at(path) as spool:
        assert spool.num_unsent() == 1
        spool.add_metrics({"loss": 3.0}, 3, 0)
        assert [point.step for point in spool.next_batch().points] == [1, 3]


def test_a_line_of_which_the_disk_took_a_part_costs_only_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with spool_at(path) as spool:
        with monkeypatch.context() as disk:
            disk.setattr("workloads.tracking.spool.os.write", lambda descriptor, data: write(descriptor, data[:20]))
            spool.add_metrics({"loss": 1.0}, 1, 0)
        for step in (2, 3):
            spool.add_metrics({"loss": 2.0}, step, 0)
        assert [point.step for point in spool.next_batch().points] == [2, 3]


def test_what_is_marked_as_sent_does_not_come_again(path: Path) -> None:
    with spool_at(path) as spool:
        spool.add_metrics({"loss": 1.0}, 1, 0)
        spool.mark_sent(spool.next_batch())
        spool.add_metrics({"loss": 2.0}, 2, 0)
    with spool_at(path) as spool:
        assert [point.step for point in spool.next_batch().points] == [2]
        assert spool.num_unsent() == 1
        assert spool.last_points()["loss"].step == 2


@pytest.mark.parametrize("mark", ["", "many", "-1", "1000000"])
def test_a_mark_that_cannot_be_is_as_none(path: Path, mark: str) -> None:
    with spool_at(path) as spool:
        spool.add_metrics({"loss": 1.0}, 1, 0)
    path.with_suffix(".sent").write_text(mark)
    with spool_at(path) as spool:
        assert spool.num_unsent() == 1


def test_how_a_process_ended_is_what_was_said_last_of_it_also_when_a_late_value_follows(path: Path) -> None:
    with spool_at(path) as spool:
        spool.add_status("KILLED", 1)
        spool.add_status("RUNNING", 2)
        spool.add_metrics({"loss": 1.0}, 1, 0)
        assert spool.next_batch().status == ("RUNNING", 2)
        spool.add_status("FINISHED", 3)
        spool.add_metrics({"cpu": 1.0}, 1, 0)  # of the thread, which was just about to
        assert spool.next_batch().status == ("FINISHED", 3)


def test_a_status_that_a_batch_has_no_room_for_is_in_the_next(path: Path) -> None:
    with spool_at(path) as spool:
        spool.add_status("RUNNING", 1)
        for step in range(BATCH_POINTS + 1):
            spool.add_metrics({"loss": 1.0}, step, 0)
        spool.add_status("FINISHED", 2)
        first = spool.next_batch()
        assert first.status == ("RUNNING", 1)
        spool.mark_sent(first)
        assert spool.next_batch().status == ("FINISHED", 2)


@pytest.mark.parametrize("content", [None, b"", b"seed: 0\n", b"[1]\n", b"\xff\xfe\n"])
def test_a_file_that_is_no_record_is_not_taken_for_one(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.parent.mkdir()
        path.write_bytes(content)
    assert Spool.open_existing(path) is None

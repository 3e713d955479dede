from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch

from workloads.checkpoints.checkpoints import Checkpoints
from workloads.checkpoints.store import FolderStore
from workloads.errors import CheckpointError


def state(step: int) -> dict[str, object]:
    return {"step": step, "weights": {"w": torch.full((3,), float(step))}, "losses": [0.5, None], "rate": 0.1}


def saved(folder: Path, *steps: int, keep_last: int = 2, scores: tuple[float | None, ...] = ()) -> Checkpoints:
    with Checkpoints(FolderStore(folder), keep_last=keep_last) as checkpoints:
        for position, step in enumerate(steps):
            checkpoints.save(step, state(step), score=scores[position] if scores else None)
    return Checkpoints(FolderStore(folder))


def steps_on_disk(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in (folder / "checkpoints").glob("*.json"))


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_the_newest_state_is_read_as_it_was_saved(tmp_path: Path) -> None:
    found = saved(tmp_path, 3, 12).newest()
    assert found is not None
    assert found["step"] == 12
    assert torch.equal(found["weights"]["w"], torch.full((3,), 12.0))
    assert (found["losses"], found["rate"]) == ([0.5, None], 0.1)


def test_a_run_without_checkpoints_has_no_newest(tmp_path: Path) -> None:
    assert Checkpoints(FolderStore(tmp_path)).newest() is None


def test_what_is_saved_is_the_state_of_that_instant(tmp_path: Path) -> None:
    weights = torch.zeros(3)
    with Checkpoints(FolderStore(tmp_path)) as checkpoints:
        checkpoints.save(1, {"w": weights})
        weights += 1  # the next step, while the writer writes
    found = Checkpoints(FolderStore(tmp_path)).newest()
    assert found is not None
    assert torch.equal(found["w"], torch.zeros(3))


def test_the_newest_few_and_the_best_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2, 3, 4, 5, scores=(0.5, 0.9, 0.6, None, 0.7))
    assert steps_on_disk(tmp_path) == [2, 4, 5]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 6


@pytest.mark.parametrize("how", ["one bit", "cut short", "gone", "no description"])
def test_a_damaged_newest_one_falls_back_to_the_one_before_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    checkpoints = saved(tmp_path, 1, 2)
    path = tmp_path / "checkpoints" / "000000002.pt"
    match how:
        case "one bit":
            damage(path)
        case "cut short":
            path.write_bytes(path.read_bytes()[:100])
        case "gone":
            path.unlink()
        case _:
            path.with_suffix(".json").write_text("{")
    found = checkpoints.newest()
    assert found is not None
    assert found["step"] == 1
    [warning] = caplog.messages
    assert "000000002" in warning
    assert "the one before" in warning


def test_nothing_but_damaged_ones_is_an_error(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 1, 2)
    for path in (tmp_path / "checkpoints").glob("*.pt"):
        damage(path)
    with pytest.raises(CheckpointError, match="All 2 checkpoints of the run are damaged; start a new run"):
        checkpoints.newest()


def test_data_without_a_description_is_no_checkpoint(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    FolderStore(tmp_path).write("checkpoints/000000002.pt", b"killed between the two")
    found = Checkpoints(FolderStore(tmp_path)).newest()
    assert found is not None
    assert found["step"] == 1


def test_a_newer_format_is_not_guessed_at(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 1)
    path = tmp_path / "checkpoints" / "000000001.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(CheckpointError, match="All 1 checkpoints"):
        checkpoints.newest()


class Payload:
    """Unpickled, it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.mark,)


def test_what_a_checkpoint_would_run_is_not_run_and_the_one_before_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark = tmp_path / "ran"
    with Checkpoints(FolderStore(tmp_path / "run")) as checkpoints:
        checkpoints.save(1, state(1))
        checkpoints.save(2, state(2) | {"payload": Payload(mark)})
    found = checkpoints.newest()
    assert not mark.exists()
    assert found is not None
    assert found["step"] == 1
    [warning] = caplog.messages
    assert "000000002.pt holds more than tensors and plain values" in warning


def test_a_run_whose_only_checkpoint_would_run_something_is_told_in_our_own_words(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    with Checkpoints(FolderStore(tmp_path / "run")) as checkpoints:
        checkpoints.save(1, {"payload": Payload(mark)})
    with pytest.raises(CheckpointError, match="All 1 checkpoints of the run are damaged; start a new run"):
        checkpoints.newest()
    assert not mark.exists()


class FullDisk(FolderStore):
    def write(self, name: str, data: bytes) -> None:
        raise OSError(28, "No space left on device", name)


def test_a_full_disk_is_told_at_the_next_save_or_the_end(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"), Checkpoints(FullDisk(tmp_path)) as checkpoints:
        checkpoints.save(1, state(1))


class SlowStore(FolderStore):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.may_write = threading.Event()

    def write(self, name: str, data: bytes) -> None:
        assert self.may_write.wait(10)
        super().write(name, data)


def test_training_goes_on_while_a_checkpoint_is_written_and_can_wait_for_it(tmp_path: Path) -> None:
    store = SlowStore(tmp_path)
    with Checkpoints(store) as checkpoints:
        checkpoints.save(1, state(1))  # returns although nothing can be written
        with pytest.raises(TimeoutError):
            checkpoints.wait(0.01)
        store.may_write.set()
        checkpoints.wait(10)
        assert steps_on_disk(tmp_path) == [1]

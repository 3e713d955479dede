from __future__ import annotations

from pathlib import Path

import pytest

from workloads.checkpoints.run_folder import Identity, claim, is_finished, mark_finished, read_identity
from workloads.checkpoints.store import FolderStore
from workloads.errors import CheckpointError


def test_a_name_is_claimed_once_and_tells_who_did(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    mine = Identity(run_name="a", config={"seed": 1}, run_id="r", experiment_id="e")
    assert read_identity(store) is None
    claim(store, mine)
    with pytest.raises(CheckpointError, match="Run a exists already; resume it with --resume a"):
        claim(store, Identity(run_name="a", config={}))
    assert read_identity(store) == mine


@pytest.mark.parametrize("text", ["{", "[]", '{"name": 1}'])
def test_a_damaged_claim_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"run.json of the run cannot be read"):
        read_identity(FolderStore(tmp_path))


def test_a_run_is_finished_once_its_result_is_there(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert not is_finished(store)
    mark_finished(store, {"val_accuracy": 0.9})
    assert is_finished(store)

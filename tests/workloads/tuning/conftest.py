from __future__ import annotations

from pathlib import Path

import pytest

from workloads.environment import CHECKPOINTS


@pytest.fixture
def searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of searches."""
    monkeypatch.setenv(CHECKPOINTS, str(tmp_path / "runs"))
    return tmp_path / "runs"

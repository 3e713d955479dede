from __future__ import annotations

import subprocess
from pathlib import Path

from workloads.tracking.code_version import code_version


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_code_in_a_checkout_is_its_commit_and_says_if_it_was_changed(tmp_path: Path) -> None:
    ours, installed = tmp_path / "ours.py", tmp_path / "installed.py"
    ours.write_text("1")
    assert code_version(ours) is None
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "ours.py")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    installed.write_text("1")
    code_version.cache_clear()
    assert code_version(ours) == commit
    assert code_version(installed) is None
    ours.write_text("2")
    code_version.cache_clear()
    assert code_version(ours) == f"{commit}-dirty"

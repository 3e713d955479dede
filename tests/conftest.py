"""What all tests share: quick garbage collection, a summary of what was not run, and a machine left as it was."""

from __future__ import annotations

import gc
import os
import pwd
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from mlp.local.postgres_files import USER

NOT_SELECTED = {
    "slow": "make test-slow",
    "gpu": "pytest -m gpu, on a machine with a GPU",
    "cloud": "pytest -m cloud, with an AWS account",
}
"""How to run the tests that the default selection leaves out, by marker."""
HAD_USER = pytest.StashKey[bool]()
TEMPORARY = pytest.StashKey[Path]()
_deselected: Counter[str] = Counter()


def pytest_configure(config: pytest.Config) -> None:
    """Have all temporary files, those of processes that tests start too, in one folder, which goes at the end."""
    if hasattr(config, "workerinput"):  # it has what the first process was given
        return
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # pytest's own stay for a look
    folder = Path(tempfile.mkdtemp(prefix="mlp-"))  # short: paths of sockets may have 107 characters
    folder.chmod(0o711)  # root's PostgreSQL passes through
    config.stash[TEMPORARY] = folder
    config.stash[HAD_USER] = _has_user()
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Have collections skip the SDKs' types, of which there are so many that each full one takes half a second."""
    gc.collect()
    gc.freeze()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        _deselected.update(marker for marker in NOT_SELECTED if item.get_closest_marker(marker))


def pytest_sessionfinish(session: pytest.Session) -> None:
    told = getattr(session.config, "workeroutput", None)  # one of several processes tells the first
    if told is not None:
        told["deselected"] = dict(_deselected)
        return
    shutil.rmtree(session.config.stash[TEMPORARY], ignore_errors=True)
    if os.geteuid() == 0 and not session.config.stash[HAD_USER] and _has_user():
        # The one as whom root's PostgreSQL runs. A platform that runs still needs it, and then this is refused.
        subprocess.run(["userdel", USER], check=False, capture_output=True)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take up what a process of pytest-xdist left out; each of them collects all tests."""
    _deselected.update(getattr(node, "workeroutput", {}).get("deselected", {}) if not _deselected else {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped and why, and what was left out and how it is run."""
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    if not reasons and not _deselected:
        return
    terminalreporter.section("not run")
    for reason, number in reasons.most_common():
        terminalreporter.write_line(f"{number:5} {reason.removeprefix('Skipped: ')}")
    for marker, number in _deselected.items():
        terminalreporter.write_line(f"{number:5} {marker}: {NOT_SELECTED[marker]}")


def _has_user() -> bool:
    with suppress(KeyError):
        return bool(pwd.getpwnam(USER))
    return False

"""The plans of another revision of this repository: the committed ones, or those its programs make."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlp.plan.planned import ProgramPlan, with_symbols
from mlp.plan.snapshots import PROGRAMS, file_name, parse, parse_printed
from mlp.shared.checkout import REPOSITORY
from mlp.shared.errors import PlatformError

TIMEOUT_S = 300
"""Time-out of an old program's plan, in seconds: it takes a few, and more on a busy machine."""


def plans_of(revision: str, stack: str, repository: Path = REPOSITORY) -> list[ProgramPlan]:
    """Return the plans of `stack` at `revision`: the committed ones, or else those made by that revision's code.

    Raise PlatformError for a revision that git does not know, or whose program does not run here.
    """
    commit = _commit(revision, repository)
    committed = {}
    for program in PROGRAMS:
        content = _git(repository, "show", f"{commit}:./{file_name(program, stack)}")
        if content.returncode == 0:
            committed[program] = parse(content.stdout, f"{revision}:{file_name(program, stack)}", program, stack)
    # The platform's plan is always there where plans are kept.
    return list(committed.values()) if PROGRAMS[0] in committed else _computed(revision, stack, repository)


def _commit(revision: str, repository: Path) -> str:
    result = _git(repository, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if result.returncode == 0:
        return result.stdout.decode().strip()
    if _git(repository, "rev-parse", "--git-dir").returncode != 0:
        raise PlatformError(
            f"--against {revision} needs the git repository, and {repository} is none; leave out --against "
            f"to compare with the committed plan"
        )
    raise PlatformError(
        f"git knows no revision {revision!r}; give a branch, tag or commit of this repository, "
        "such as main or HEAD~1 (`git fetch` brings those of others)"
    )


@contextmanager
def files_of(revision: str, repository: Path = REPOSITORY) -> Iterator[Path]:
    """Have a copy of the files of `revision` in a folder of its own while the block runs.

    Raise PlatformError for a revision that git does not know.
    """
    commit = _commit(revision, repository)
    with tempfile.TemporaryDirectory(prefix="mlp-revision-", ignore_cleanup_errors=True) as folder:
        archive, files = Path(folder) / "files.tar", Path(folder) / "files"
        packed = _git(repository, "archive", "--format=tar", f"--output={archive}", commit)
        if packed.returncode != 0:
            raise PlatformError(f"git archive {revision} failed: {packed.stderr.decode(errors='replace').strip()}")
        with tarfile.open(archive) as packed_files:
            packed_files.extractall(files, filter="data")
        archive.unlink()
        yield files


def run_plan(files: Path, stack: str, printed: Path) -> subprocess.CompletedProcess[bytes]:
    """Run `mlp plan` of the code in `files` with this interpreter, which writes its plan as JSON to `printed`.

    Raise subprocess.TimeoutExpired after `TIMEOUT_S`.
    """
    # Before the command had a package of its own it was a part of `stacks`.
    module = "mlp.cli" if (files / "mlp").is_dir() else "stacks.cli"
    return subprocess.run(
        [sys.executable, "-m", module, "plan", stack, "--json", str(printed)],
        cwd=files,
        env=os.environ | {"PYTHONPATH": str(files)},
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def _computed(revision: str, stack: str, repository: Path) -> list[ProgramPlan]:
    """Return what that revision's `mlp plan` prints, run from a copy of its files."""
    with files_of(revision, repository) as files:
        printed = files.parent / "plan.json"
        try:
            result = run_plan(files, stack, printed)
        except subprocess.TimeoutExpired:
            raise PlatformError(f"the program of {revision} made no plan of {stack} in {TIMEOUT_S} s") from None
        if result.returncode != 0 or not printed.exists():
            raise PlatformError(
                f"{revision} keeps no plan of {stack}, and its program does not run here: "
                f"{last_line(result).removeprefix('mlp: ')}"
            )
        # Before plans were kept, they showed the hashes of images.
        return [with_symbols(one) for one in parse_printed(printed.read_bytes(), f"the program of {revision}", stack)]


def last_line(result: subprocess.CompletedProcess[bytes]) -> str:
    """Return the last line of a program on stderr, which is mostly the reason of its failure."""
    return (result.stderr.decode(errors="replace").strip().splitlines() or ["it printed nothing"])[-1]


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], cwd=repository, capture_output=True, check=False)
    except FileNotFoundError:
        raise PlatformError(
            "--against needs git, which is not installed; leave it out to compare with the committed plan"
        ) from None

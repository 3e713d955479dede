"""`mlp` as people run it, in this process: a new one takes seconds to import what a command needs."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from mlp.cli import main


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def run_mlp(*arguments: str, environ: Mapping[str, str] = os.environ, cwd: Path | None = None) -> Ended:
    """Run `mlp` with these arguments and this whole environment."""
    stdout, stderr = StringIO(), StringIO()
    code = 0
    with _process(["mlp", *arguments], environ), chdir(cwd) if cwd else nullcontext():
        try:
            with redirect_stdout(stdout), redirect_stderr(stderr):
                main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    return Ended(returncode=code, stdout=stdout.getvalue(), stderr=stderr.getvalue())


@contextmanager
def _process(arguments: list[str], environ: Mapping[str, str]) -> Iterator[None]:
    """Within it this process has these arguments and this environment; after it its own, and garbage collection."""
    own, wanted = (dict(one) for one in (os.environ, environ))
    own_arguments, sys.argv = sys.argv, arguments
    try:
        _become(wanted)
        yield
    finally:
        _become(own)
        sys.argv = own_arguments
        gc.enable()


def _become(environ: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)

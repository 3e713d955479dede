"""A whole stack on the AWS emulator in this process, applied once for all modules of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.mlp.engine.clouds.applied import Applied, applied_stack


@pytest.fixture(scope="package")
def apply_once() -> Iterator[Callable[[str], Applied]]:
    """Gives the stack of a name, which stays applied until another is asked for: a process has one emulator."""
    with ExitStack() as emulator:
        held: dict[str, Applied] = {}

        def apply(stack: str) -> Applied:
            if stack not in held:
                emulator.close()
                held.clear()
                held[stack] = emulator.enter_context(applied_stack(stack))
            return held[stack]

        yield apply


@pytest.fixture(scope="module", params=["prod", pytest.param("dev", marks=pytest.mark.slow)])
def stack(request: pytest.FixtureRequest) -> str:
    """The stack to apply, one after the other."""
    return str(request.param)


@pytest.fixture(scope="module")
def applied(stack: str, apply_once: Callable[[str], Applied]) -> Applied:
    """The stack as its committed file has it, and with Airflow, so that all roles are there.

    Tests ask what exists there and change nothing.
    """
    return apply_once(stack)

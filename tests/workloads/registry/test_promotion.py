from __future__ import annotations

import pytest

from workloads.registry.promotion import refusal
from workloads.registry.versions import Version


def version(test_accuracy: float | None) -> Version:
    return Version(
        model_name="m",
        number=4,
        run_id="r",
        run_name="n",
        aliases=(),
        dataset="digits",
        data_version="v",
        test_accuracy=test_accuracy,
        val_accuracy=0.99,
    )


@pytest.mark.parametrize(
    ("accuracy", "told"),
    [
        pytest.param(0.85, None, id="just enough"),
        pytest.param(0.8499, "Version 4 of m has test/accuracy 0.8499; the minimum is 0.85", id="just too little"),
        pytest.param(None, "run `python -m workloads evaluate --model m --version 4` first", id="not evaluated"),
    ],
)
def test_a_version_is_promoted_by_its_test_accuracy(accuracy: float | None, told: str | None) -> None:
    reason = refusal(version(accuracy), 0.85)
    assert (reason is None) if told is None else (told in (reason or ""))

"""What tests must know of PromQL: which metrics a query asks for."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_LABELS = re.compile(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\(|[a-zA-Z0-9_:])")
_WORDS = {"and", "or", "unless", "offset", "bool", "Inf", "NaN"}


def metrics_of(query: str) -> set[str]:
    """The names of the metrics that `query` asks for."""
    # Durations and numbers, as in `offset 30m`, begin with a digit.
    bare = re.sub(r"\b\d[\w.]*", " ", _LABELS.sub(" ", _TEXT.sub('""', query)))
    return set(_NAME.findall(bare)) - _WORDS


def queries_of(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every query of a dashboard with the title of its panel."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]

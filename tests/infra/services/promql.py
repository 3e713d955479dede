"""What tests must know of PromQL and dashboards: which metrics a query asks for, and how Prometheus answers it."""

import re
import shutil
import subprocess
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


def queries_of(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Every query of a dashboard to Prometheus: title of its panel, expression, legend."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            if panel["datasource"]["type"] == "prometheus":
                yield panel["title"], target["expr"], target.get("legendFormat", "")


def cloudwatch_queries_of(dashboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every query of a dashboard to CloudWatch."""
    for panel in dashboard["panels"]:
        if panel["datasource"]["type"] == "cloudwatch":
            yield from panel["targets"]


def variable_queries_of(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Metric and label of every variable of a dashboard that Prometheus is asked for."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            parts = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            assert parts, variable
            yield parts[1], parts[2]


def run_promtool(*arguments: str, passes: bool = True) -> None:
    """Run Prometheus' own tool; what it says is the message when it does not do as it should."""
    tool = shutil.which("promtool")
    assert tool, "promtool is missing: apt-get install --yes --no-install-recommends prometheus"
    result = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode == 0) is passes, result.stdout + result.stderr

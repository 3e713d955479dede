"""The platform's status as tables for people and data for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from infra.servers.mlflow import ADMIN, DATABASE
from mlp.local.home import Home
from mlp.local.observe import ServiceStatus

if TYPE_CHECKING:
    from rich.table import Table

    from mlp.local.quickstart import Summary


def as_data(home: Home, statuses: Sequence[ServiceStatus]) -> dict[str, Any]:
    """Return the platform as plain values, with no secrets but the path of their file."""
    return {
        "home": str(home.path),
        "services": [_renamed(asdict(status)) for status in statuses],
        "login": {"username": ADMIN, "password_file": str(home.credentials_file)},
        "ray_token_file": str(home.ray_token_file),
    }


def table(statuses: Sequence[ServiceStatus]) -> Table:
    """Return a table with one row a service."""
    from rich.table import Table

    shown = Table("service", "state", "url", "pid", box=None, pad_edge=False)
    notes = any(status.detail for status in statuses)
    if notes:
        shown.add_column("why")
    for status in statuses:
        row = [status.service, status.condition, status.url or "", str(status.pid or "")]
        shown.add_row(*row, *([status.detail] if notes else []))
    return shown


def summary_table(summary: Summary, statuses: Sequence[ServiceStatus], home: Home) -> Table:
    """Return a table of the main job's results, and where to look at them."""
    from rich.table import Table

    urls = {status.service: status.url or "" for status in statuses}
    shown = Table("", "", show_header=False, box=None, pad_edge=False)
    shown.add_row("MLflow", urls["mlflow"])
    shown.add_row("  login", f"{ADMIN}, password: mlflow_password in {home.credentials_file}")
    shown.add_row("Ray dashboard", urls["ray"])
    shown.add_row("  token", f"in {home.ray_token_file}")
    shown.add_row("PostgreSQL", urls["postgres"])
    shown.add_row("  login", f"{DATABASE}, password: mlflow_database_password in {home.credentials_file}")
    shown.add_row("dataset", summary.dataset)
    shown.add_row("test accuracy", f"{summary.test_accuracy:.4f}")
    shown.add_row("training", f"{summary.train_seconds:.1f} s")
    shown.add_row("model", f"{summary.model_name} version {summary.version}, alias {summary.alias}")
    shown.add_row(
        "prediction",
        f"{summary.predicted} (probability {summary.probability:.3f}; true class {summary.label})",
    )
    return shown


def how_to_log_in(home: Home) -> str:
    """Return lines that tell where the login of each service lies."""
    return (
        f"MLflow login: {ADMIN}, password: mlflow_password in {home.credentials_file}\n"
        f"Ray dashboard's token: in {home.ray_token_file}\n"
        f"PostgreSQL login: {DATABASE}, password: mlflow_database_password in {home.credentials_file}\n"
        'In a shell: eval "$(mlp env)"   Stop: mlp down'
    )


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    return {"state" if name == "condition" else name: value for name, value in values.items()}

"""What the tests of the workloads share: a tracking store that is ready at once, small data, small configs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from workloads.config import TrainConfig, read_config
from workloads.environment import PlatformEnvironment

FILTERS = (
    # SQLAlchemy's pool lets go of sqlite connections when it is collected; MLflow keeps its engines for ever.
    "ignore:unclosed database:ResourceWarning",
    # MLflow and Ray about themselves.
    "ignore::DeprecationWarning:mlflow.*",
    "ignore::FutureWarning:mlflow.*",
    "ignore::DeprecationWarning:ray.*",
    "ignore::FutureWarning:ray.*",
)


def pytest_configure(config: pytest.Config) -> None:
    os.environ["RAY_AUTH_MODE"] = "disabled"  # Ray reads it once in a process, however many clusters that starts
    for line in FILTERS:
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without runs. Making one takes seconds, so tests copy it."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def environment(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlatformEnvironment:
    """This process told of a tracking store of its own, with artifacts under the same folder, and of no Ray head."""
    store = tmp_path / "tracking"
    store.mkdir()
    shutil.copy(empty_store, store / "mlflow.db")
    for name in PlatformEnvironment(
        tracking_uri="-",
        tracking_username="-",
        tracking_password="-",
        ray_address="-",
        data="-",
        checkpoints="-",
        metrics_port="-",
        price_usd_per_hour="-",
        registry="-",
        log_format="-",
    ).variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store / 'mlflow.db'}")
    monkeypatch.chdir(store)  # where MLflow puts artifacts beside a database
    return PlatformEnvironment.read()


@pytest.fixture
def digits_config() -> Callable[..., TrainConfig]:
    """A small run on digits, with dotted keys changed: `digits_config({"optim.lr": 1})`."""

    def build(values: dict[str, object] | None = None) -> TrainConfig:
        small: dict[str, object] = {
            "name": "small",
            "epochs": 2,
            "global_batch_size": 64,
            "num_threads": 1,
            "device": "cpu",
            "data.name": "digits",
            "model.width": 4,
            "optim.lr": 0.1,
        }
        return read_config({}, small | (values or {}), source="test")

    return build

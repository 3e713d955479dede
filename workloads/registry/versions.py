"""Versions of a registered model: found by number or alias, with the facts that their runs record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workloads.config import DataConfig
from workloads.data.dataset import Dataset
from workloads.data.datasets import load
from workloads.environment import PlatformEnvironment
from workloads.errors import DataError, RegistryError
from workloads.tracking.connection import requests_to

if TYPE_CHECKING:
    from mlflow import MlflowClient

STAGING = "staging"
PRODUCTION = "production"
TEST_ACCURACY = "test/accuracy"
VALIDATION_ACCURACY = "val/accuracy"


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a registered model."""

    model_name: str
    number: int
    run_id: str
    run_name: str
    aliases: tuple[str, ...]
    dataset: str
    data_version: str
    test_accuracy: float | None
    val_accuracy: float | None
    image_size: int = DataConfig().image_size
    """Side in pixels to which its images were scaled, where these came from a folder."""
    code_version: str = ""
    image_digest: str = ""

    @property
    def uri(self) -> str:
        """URI by which MLflow loads the version."""
        return f"models:/{self.model_name}/{self.number}"

    def load_dataset(self, environment: PlatformEnvironment) -> Dataset:
        """Load the data set of its run; raise DataError if it is missing or is not the one it was trained on."""
        dataset = load(self.dataset, environment, image_size=self.image_size)
        if dataset.version != self.data_version:
            raise DataError(
                f"Data set {self.dataset} here has version {dataset.version}; {self.model_name} version {self.number} "
                f"was trained on {self.data_version}: provide those files again"
            )
        return dataset


def versions_of(client: MlflowClient, model_name: str) -> list[Version]:
    """Return all versions, newest first; raise RegistryError when there is no such model."""
    aliases = aliases_of(client, model_name)
    runs = runs_of(client, model_name)
    return [_described(client, model_name, number, runs[number], aliases) for number in sorted(runs, reverse=True)]


def find_version(
    client: MlflowClient, model_name: str, *, version: int | None = None, alias: str | None = None
) -> Version:
    """Return the version of that number, or with that alias; raise RegistryError that names what there is."""
    aliases = aliases_of(client, model_name)
    if alias is not None:
        if alias not in aliases:
            raise RegistryError(
                f"No version of {model_name} has the alias {alias}; it has {', '.join(sorted(aliases)) or 'none'}: "
                f"run `python -m workloads registry promote {model_name} VERSION --to {alias}`"
            )
        version = aliases[alias]
    runs = runs_of(client, model_name)
    if version is None or version not in runs:
        raise RegistryError(
            f"{model_name} has no version {version}; it has {', '.join(map(str, sorted(runs))) or 'none'}"
        )
    return _described(client, model_name, version, runs[version], aliases)


def runs_of(client: MlflowClient, model_name: str) -> dict[int, str]:
    """Return the run id of each version by the version's number."""
    with requests_to(client.tracking_uri):
        return {int(v.version): str(v.run_id) for v in client.search_model_versions(f"name = '{model_name}'")}


def tags_of(client: MlflowClient, version: Version) -> dict[str, str]:
    """Return the version's own tags."""
    with requests_to(client.tracking_uri):
        return dict(client.get_model_version(version.model_name, str(version.number)).tags)


def aliases_of(client: MlflowClient, model_name: str) -> dict[str, int]:
    """Return the version number of each alias; raise RegistryError when there is no such model."""
    from mlflow.exceptions import MlflowException

    with requests_to(client.tracking_uri):
        try:
            model = client.get_registered_model(model_name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise RegistryError(
                f"No registered model {model_name}; `python -m workloads train CONFIG` registers one"
            ) from None
    return {alias: int(version) for alias, version in model.aliases.items()}


def _described(client: MlflowClient, model_name: str, number: int, run_id: str, aliases: dict[str, int]) -> Version:
    with requests_to(client.tracking_uri):
        run = client.get_run(run_id)
    return Version(
        model_name=model_name,
        number=number,
        run_id=run_id,
        run_name=run.info.run_name or "",
        aliases=tuple(sorted(alias for alias, holder in aliases.items() if holder == number)),
        dataset=run.data.params.get("data.name", ""),
        data_version=run.data.tags.get("data_version", ""),
        code_version=run.data.tags.get("code_version", ""),
        image_digest=run.data.tags.get("image_digest", ""),
        image_size=int(run.data.params.get("data.image_size", DataConfig().image_size)),
        test_accuracy=run.data.metrics.get(TEST_ACCURACY),
        val_accuracy=run.data.metrics.get(VALIDATION_ACCURACY),
    )

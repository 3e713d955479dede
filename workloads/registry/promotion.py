"""Which version people are served: a decision from its test accuracy, then the alias moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workloads.errors import RegistryError
from workloads.registry.versions import PRODUCTION, TEST_ACCURACY, Version, find_version
from workloads.tracking.connection import requests_to

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """What `promote` did."""

    version: Version
    alias: str
    moved: bool
    """False if the version held the alias already."""
    replaced: int | None
    """The version that held the alias before."""


def archived(number: int) -> str:
    """The alias of a version that was in production."""
    return f"archived-{number}"


def refusal(version: Version, minimum: float) -> str | None:
    """Why the version may not be promoted, if its test accuracy is unknown or below `minimum`."""
    name = f"Version {version.number} of {version.model_name}"
    if version.test_accuracy is None:
        return (
            f"{name} has no {TEST_ACCURACY}; run "
            f"`python -m workloads evaluate --model {version.model_name} --version {version.number}` first"
        )
    if version.test_accuracy < minimum:
        return (
            f"{name} has {TEST_ACCURACY} {version.test_accuracy:.4f}; the minimum is {minimum:g}: "
            "train a better one, or lower --minimum"
        )
    return None


def promote(client: MlflowClient, model_name: str, number: int, *, to: str, minimum: float) -> Promotion:
    """Give version `number` the alias `to`; what held `production` before becomes `archived-<version>`.

    Safe to repeat, also after a crash half way. Raises RegistryError when the version is missing or refused.
    """
    version = find_version(client, model_name, version=number)
    if to in version.aliases:
        return Promotion(version=version, alias=to, moved=False, replaced=None)
    reason = refusal(version, minimum)
    if reason:
        raise RegistryError(reason)
    with requests_to(client.tracking_uri):
        holder = client.get_registered_model(model_name).aliases.get(to)
        if to == PRODUCTION and holder is not None:  # first, so that a crash before the next line loses no trace
            client.set_registered_model_alias(model_name, archived(int(holder)), str(holder))
        client.set_registered_model_alias(model_name, to, str(number))
        if archived(number) in version.aliases and to == PRODUCTION:
            client.delete_registered_model_alias(model_name, archived(number))
    return Promotion(version=version, alias=to, moved=True, replaced=int(holder) if holder is not None else None)

"""The prediction of a registered model for one test image."""

from __future__ import annotations

from dataclasses import dataclass

from workloads.environment import PlatformEnvironment
from workloads.errors import DataError
from workloads.registry.model_format import load_program
from workloads.registry.versions import Version, find_version
from workloads.tracking.connection import connect


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The most probable class, and the true one."""

    version: Version
    index: int
    """Position of the image in the test split, 0-based."""
    predicted: str
    probability: float
    """Probability of the predicted class."""
    label: str
    """Name of the true class."""


def predict(environment: PlatformEnvironment, model_name: str, *, alias: str, index: int) -> Prediction:
    """Predict the class of the test image at `index` (0-based) with the version that has the alias.

    Raises RegistryError, DataError or TrackingError.
    """
    client = connect(environment)
    version = find_version(client, model_name, alias=alias)
    dataset = version.load_dataset(environment)
    if not 0 <= index < len(dataset.test):
        raise DataError(
            f"Test image {index} does not exist; {dataset.name} has {len(dataset.test)}, numbered from 0 to "
            f"{len(dataset.test) - 1}"
        )
    program = load_program(version.uri, client.tracking_uri)
    [probabilities_k] = program(dataset.test.images[index : index + 1]).detach().softmax(1)
    best = int(probabilities_k.argmax())
    return Prediction(
        version=version,
        index=index,
        predicted=dataset.class_names[best],
        probability=float(probabilities_k[best]),
        label=dataset.class_names[int(dataset.test.labels[index])],
    )

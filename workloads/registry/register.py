"""Registration of the model that a finished run has logged."""

from __future__ import annotations

from dataclasses import dataclass

from workloads.config import default_model_name
from workloads.environment import PlatformEnvironment
from workloads.errors import RegistryError
from workloads.registry.model_format import ARTIFACT
from workloads.registry.versions import TEST_ACCURACY, VALIDATION_ACCURACY, Version, find_version
from workloads.tracking.connection import connect, requests_to

TAGS = ("dataset", "data_version", "code_version", "image_digest")
"""Tags of a run that its version gets too."""


@dataclass(frozen=True, kw_only=True)
class Registered:
    """The result of `register_run`."""

    version: Version
    is_new: bool
    """Whether the version was created; False if the run had a version of that name already."""


def register_run(environment: PlatformEnvironment, run_id: str, model_name: str | None = None) -> Registered:
    """Register the run's model as a version of `model_name`, or of the name in the run's config.

    Safe to repeat. Raises RegistryError when there is no such run, it is not finished, or it logged no model;
    TrackingError.
    """
    from mlflow.exceptions import MlflowException

    client = connect(environment)
    with requests_to(client.tracking_uri):
        try:
            run = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise RegistryError(
                f"No run {run_id}; `python -m workloads train CONFIG --json` prints a run's id"
            ) from None
        if run.info.status != "FINISHED":
            raise RegistryError(f"Run {run_id} is {run.info.status}; a version is made from a FINISHED run")
        found = client.search_logged_models([run.info.experiment_id], filter_string=f"source_run_id = '{run_id}'")
        models = [model for model in found if model.name == ARTIFACT]
        if not models:
            raise RegistryError(
                f"Run {run_id} has logged no model; trials of a search do not: train with its parameters by "
                "`python -m workloads train CONFIG --set KEY=VALUE`"
            )
        params = run.data.params
        name = model_name or params.get("registry.model_name") or default_model_name(params.get("data.name", ""))
        known = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
        if known:
            return Registered(version=find_version(client, name, version=int(known[0].version)), is_new=False)
        tags = {key: run.data.tags[key] for key in TAGS if key in run.data.tags}
        for key, metric in (("val_accuracy", VALIDATION_ACCURACY), ("test_accuracy", TEST_ACCURACY)):
            if metric in run.data.metrics:
                tags[key] = f"{run.data.metrics[metric]:.4f}"
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        model_id = models[0].model_id
        made = client.create_model_version(
            name, source=f"models:/{model_id}", run_id=run_id, tags=tags, model_id=model_id
        )
    return Registered(version=find_version(client, name, version=int(made.version)), is_new=True)

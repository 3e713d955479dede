"""The format in which a trained model is stored: an exported program to serve, and bare weights to fine-tune.

The program (torch.export, `pt2`) takes uint8 [N, C, H, W] for any N and returns float32 logits [N, classes]; it
normalises the images itself and needs no code of ours. Beside it are `weights/model.safetensors` and `model.json`.
"""

from __future__ import annotations

import copy
import json
import tempfile
import warnings
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from workloads.data.dataset import Dataset
from workloads.errors import RegistryError
from workloads.models.build import ModelSpec
from workloads.tracking.connection import requests_to
from workloads.tracking.tracker import MlflowTracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXAMPLE_BATCH = 2
"""Images of the example batch; torch.export takes a dimension of size 1 for a constant."""
REQUIREMENTS = ("torch", "numpy", "mlflow")
ARTIFACT = "model"
WEIGHTS = "weights"
DESCRIPTION_FILE = f"{WEIGHTS}/model.json"
SHOWN_CLASSES = 10


def register(tracker: MlflowTracker, module: nn.Module, spec: ModelSpec, dataset: Dataset, model_name: str) -> str:
    """Log the model with its run, register it as a new version of `model_name`, and return the version number.

    Raises TrackingError.
    """
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    module = copy.deepcopy(module).cpu().eval()
    example = dataset.train.images[:EXAMPLE_BATCH].contiguous().numpy()
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, *example.shape[1:]))]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(dataset.class_names)))]),
    )
    log_weights(tracker, module, spec, dataset)
    with requests_to(tracker.uri), mlflow.start_run(run_id=tracker.run_id), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.export and MLflow about their own internals
        info = mlflow.pytorch.log_model(
            module,
            name=ARTIFACT,
            input_example=example,
            signature=signature,
            registered_model_name=model_name,
            # Given, not inferred: to infer them MLflow loads the model in another process, which takes seconds.
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in REQUIREMENTS],
        )
    return str(info.registered_model_version)


def log_weights(tracker: MlflowTracker, module: nn.Module, spec: ModelSpec, dataset: Dataset) -> None:
    """Log the weights with the run, and the metadata that builds the network again and names its classes."""
    from safetensors.torch import save_file

    description = {
        **asdict(spec),
        "dataset": dataset.name,
        "class_names": list(dataset.class_names),
        "input": {"dtype": "uint8", "shape": ["N", *dataset.train.images.shape[1:]]},
    }
    with tempfile.TemporaryDirectory() as folder:
        weights = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
        save_file(weights, Path(folder) / "model.safetensors")
        (Path(folder) / "model.json").write_text(json.dumps(description, indent=2), encoding="utf-8")
        tracker.log_files(Path(folder), WEIGHTS)


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The classes and the image shape of a model."""

    class_names: tuple[str, ...]
    image_shape: tuple[int, ...]
    """Channels, height and width of an image."""

    def incompatibility_with(self, other: Signature) -> str | None:
        """Return why clients of the other model could not use this one, or None if they could."""
        if self.class_names != other.class_names:
            return f"its classes are {_shortened(self.class_names)}, not {_shortened(other.class_names)}"
        if self.image_shape != other.image_shape:
            return f"its images are {self.image_shape} (channels, height, width), not {other.image_shape}"
        return None


def signature_of(client: MlflowClient, run_id: str) -> Signature:
    """Return the signature of a run's model; raise RegistryError where it is not recorded, or TrackingError."""
    with requests_to(client.tracking_uri):
        if DESCRIPTION_FILE not in [file.path for file in client.list_artifacts(run_id, WEIGHTS)]:
            raise RegistryError(f"its run {run_id} has no {DESCRIPTION_FILE}, which names classes and image shape")
    with requests_to(client.tracking_uri), tempfile.TemporaryDirectory() as folder:
        path = Path(client.download_artifacts(run_id, DESCRIPTION_FILE, folder))
        description = json.loads(path.read_text(encoding="utf-8"))
    return Signature(
        class_names=tuple(description["class_names"]),
        image_shape=tuple(description["input"]["shape"][1:]),
    )


def _shortened(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:SHOWN_CLASSES])
    return f"{len(names)} ({shown}{', ...' if len(names) > SHOWN_CLASSES else ''})"


def load_program(uri: str, tracking_uri: str) -> nn.Module:
    """Load the exported program of `models:/NAME/VERSION`; raise TrackingError."""
    import mlflow

    with requests_to(tracking_uri), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program: nn.Module = mlflow.pytorch.load_model(uri)
    return program

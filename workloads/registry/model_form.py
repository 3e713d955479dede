"""The form in which a trained model is kept: an exported program to serve, and its bare weights to train on from.

The program (torch.export, `pt2`) takes uint8 [N, C, H, W] for any N and gives float32 logits [N, classes]; it
normalises the images itself and needs no code of ours. Beside it lie `weights/model.safetensors` and `model.json`.
"""

from __future__ import annotations

import copy
import json
import tempfile
import warnings
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn

from workloads.data.datasets import Dataset
from workloads.models.build import ModelSpec
from workloads.tracking.connection import requests_to
from workloads.tracking.tracker import MlflowTracker

EXAMPLE_BATCH = 2
"""torch.export takes a dimension of size 1 for a constant, so the example has more images than one."""
REQUIREMENTS = ("torch", "numpy", "mlflow")


def register(tracker: MlflowTracker, module: nn.Module, spec: ModelSpec, dataset: Dataset, model_name: str) -> str:
    """Keep the model with its run and as a new version of `model_name`, whose number is returned.

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
            name="model",
            input_example=example,
            signature=signature,
            registered_model_name=model_name,
            # Given, not inferred: to infer them MLflow loads the model in another process, which takes seconds.
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in REQUIREMENTS],
        )
    return str(info.registered_model_version)


def log_weights(tracker: MlflowTracker, module: nn.Module, spec: ModelSpec, dataset: Dataset) -> None:
    """Keep the weights, and all that builds the network again and names its classes."""
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
        tracker.log_files(Path(folder), "weights")


def load_program(uri: str, tracking_uri: str) -> nn.Module:
    """The exported program of `models:/NAME/VERSION`; raises TrackingError."""
    import mlflow

    with requests_to(tracking_uri), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program: nn.Module = mlflow.pytorch.load_model(uri)
    return program

"""Upload of a data set to the store that MLP_DATA names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from workloads.data import image_folder, s3
from workloads.data.datasets import find, source_of
from workloads.environment import DATA, PlatformEnvironment
from workloads.errors import DataError


def push(name: str, environment: PlatformEnvironment, folder: Path | None = None) -> s3.Pushed:
    """Upload the data set in `folder`, or where `data find` finds it without MLP_DATA; raise DataError.

    It is loaded first: what is damaged or not whole is not uploaded. Safe to repeat, also after a crash half way.
    """
    source = source_of(name)
    if name == "digits":
        raise DataError("digits comes with scikit-learn wherever it is used; there is nothing to upload")
    if not environment.data or not s3.is_s3_url(environment.data):
        raise DataError(
            f"{DATA} is {environment.data or 'not set'}; to upload it must be s3://BUCKET or s3://BUCKET/PREFIX, such "
            "as the dataset_bucket of `pulumi stack output`"
        )
    if folder is None:
        folder = find(name, replace(environment, data=None))
    elif not (source.is_in(folder) if source else image_folder.is_in(folder)):
        raise DataError(f"{folder} holds no whole data set {name}; name the folder that has its files")
    if source:
        source.load(folder)
        paths = source.files_in(folder)
    else:
        paths = image_folder.files_in(folder)
    return s3.push(f"{environment.data.rstrip('/')}/{name}", folder, paths)

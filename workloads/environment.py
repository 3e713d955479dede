"""The environment variables that configure a container, or a process on a laptop.

They are named once, here: the stacks take the names from this file, the workloads read them through
`PlatformEnvironment`. They carry locations and logins only, never hyperparameters.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

TRACKING_URI = "MLFLOW_TRACKING_URI"
TRACKING_USERNAME = "MLFLOW_TRACKING_USERNAME"
TRACKING_PASSWORD = "MLFLOW_TRACKING_PASSWORD"  # noqa: S105  the variable's name
RAY_ADDRESS = "RAY_ADDRESS"
DATA = "MLP_DATA"
CHECKPOINTS = "MLP_CHECKPOINTS"
REGISTRY = "MLP_REGISTRY"
CODE_VERSION = "MLP_CODE_VERSION"
IMAGE_DIGEST = "MLP_IMAGE_DIGEST"
METRICS_PORT = "MLP_METRICS_PORT"
PRICE = "MLP_PRICE_USD_PER_HOUR"
LOG_FORMAT = "MLP_LOG_FORMAT"
JOB_CLUSTER = "MLP_JOB_CLUSTER"
INSTANCE_METADATA = "MLP_INSTANCE_METADATA"


@dataclass(frozen=True, kw_only=True)
class PlatformEnvironment:
    """The platform as the environment variables describe it; a field is None where its variable is unset or empty."""

    tracking_uri: str | None = field(default=None, metadata={"variable": TRACKING_URI})
    """URL of the MLflow tracking server."""
    tracking_username: str | None = field(default=None, metadata={"variable": TRACKING_USERNAME})
    tracking_password: str | None = field(default=None, metadata={"variable": TRACKING_PASSWORD}, repr=False)
    ray_address: str | None = field(default=None, metadata={"variable": RAY_ADDRESS})
    """Address of the Ray cluster, such as `ray://host:10001` or `host:6379`."""
    data: str | None = field(default=None, metadata={"variable": DATA})
    """Folder or s3:// prefix that holds data sets, one subfolder each."""
    checkpoints: str | None = field(default=None, metadata={"variable": CHECKPOINTS})
    """Folder that holds runs, one subfolder each."""
    registry: str | None = field(default=None, metadata={"variable": REGISTRY})
    """Folder or s3:// prefix that keeps the history of alias moves: who gave which model version which alias."""
    code_version: str | None = field(default=None, metadata={"variable": CODE_VERSION})
    """Commit of the code in the image."""
    image_digest: str | None = field(default=None, metadata={"variable": IMAGE_DIGEST})
    """Digest of the container image."""
    metrics_port: str | None = field(default=None, metadata={"variable": METRICS_PORT})
    """TCP port at which a training run serves its metrics to Prometheus."""
    price_usd_per_hour: str | None = field(default=None, metadata={"variable": PRICE})
    """Price in US dollars per hour of all machines of a training run together."""
    log_format: str | None = field(default=None, metadata={"variable": LOG_FORMAT})
    """`json` or `text`; by default JSON in a pod without a terminal."""
    job_cluster: str | None = field(default=None, metadata={"variable": JOB_CLUSTER})
    """Name of the cluster that a RayJob made for this attempt, `<job>-<random>`; a resubmitted job has another."""
    instance_metadata: str | None = field(default=None, metadata={"variable": INSTANCE_METADATA})
    """URL of EC2's metadata service, on a spot machine without a cluster that forwards its interruption notices."""

    @property
    def job(self) -> str | None:
        """Name of the RayJob that this is an attempt of, if any: all of them work on the run or search of its name."""
        return (self.job_cluster or "").rpartition("-")[0] or None

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> PlatformEnvironment:
        """Read the environment of this process, or another mapping of names to values."""
        return cls(**{f.name: environ.get(f.metadata["variable"]) or None for f in fields(cls)})

    def variables(self) -> dict[str, str]:
        """Return the variables that `read` would turn into this value; fields that are None are omitted."""
        values = {f.metadata["variable"]: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

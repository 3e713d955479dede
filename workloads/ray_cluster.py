"""The Ray cluster that a run or a search uses: the one at RAY_ADDRESS, or one of its own on this machine."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from workloads.data.datasets import data_location
from workloads.environment import DATA, RAY_ADDRESS, PlatformEnvironment
from workloads.errors import ClusterError, first_line

CONNECT_TIMEOUT_S = 5
# How a gRPC client begins, with an empty SETTINGS frame, and the type of the frame by which a server replies to it
# (https://www.rfc-editor.org/rfc/rfc9113#section-3.4).
HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
HTTP2_SETTINGS = bytes((4,))
LOCAL_CPUS = 2
# Set before Ray is imported; ranks keep the working directory.
RAY_DEFAULTS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_CHDIR_TO_TRIAL_DIR": "0"}


@contextmanager
def connected_to_ray(
    environment: PlatformEnvironment, *, num_cpus: int = LOCAL_CPUS, variables: dict[str, str] | None = None
) -> Iterator[None]:
    """Connect to Ray at RAY_ADDRESS, or start one with `num_cpus` CPUs here, for as long as the context lasts.

    Its workers find the data sets that this process finds, and get the environment `variables` besides. Raises
    ClusterError.
    """
    for name, value in RAY_DEFAULTS.items():
        os.environ.setdefault(name, value)
    import ray

    given = {DATA: data_location(environment), "OMP_NUM_THREADS": "1"} | (variables or {})
    arguments: dict[str, Any] = {
        "runtime_env": {"env_vars": given},
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    if environment.ray_address:
        arguments["address"] = environment.ray_address
    else:
        arguments |= {"address": "local", "num_cpus": num_cpus, "include_dashboard": False}
    try:
        try:
            ray.init(**arguments)
        except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
            where = environment.ray_address or "on this machine"
            raise ClusterError(f"Ray {where} could not be used: {first_line(error)}; start it with `mlp up`") from error
        yield
    finally:
        ray.shutdown()


def check_head(environment: PlatformEnvironment) -> None:
    """Raise ClusterError unless a gRPC server answers at RAY_ADDRESS, if set: Ray itself would wait for minutes."""
    address = environment.ray_address or ""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return  # unset, or `auto` and `local`, which Ray resolves
    try:
        with socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S) as connection:
            connection.sendall(HTTP2_GREETING)
            if connection.recv(4)[3:] != HTTP2_SETTINGS:
                raise ConnectionError("what listens there is no Ray head")
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"{RAY_ADDRESS} is {address} and no Ray head answers there ({error}); start it with `mlp up`, "
            f'then run: eval "$(mlp env)"; or unset {RAY_ADDRESS} to use this machine alone'
        ) from error

"""Assumptions about monthly use, which a bill depends on and a plan does not contain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from mlp.shared.errors import PlatformError

_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Assumptions(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Monthly use by a small team, of one environment; `--assume NAME=NUMBER` replaces one."""

    nat_gb: _Amount = 50
    """GB through the NAT gateways: images of public registries, packages, AWS's APIs; S3 has its own gateway."""
    internet_gb: _Amount = 20
    """GB out to the internet; the account's first 100 are free."""
    zone_gb: _Amount = 50
    """GB between zones: pods to the database, gradients, replication of services; AWS counts each end."""
    interface_endpoint_gb: _Amount = 20
    """GB through interface endpoints, if there are any."""
    alb_lcus: _Amount = 0.5
    """Load balancer capacity units on average; one is 25 new connections a second or 1 GB an hour."""
    web_requests_million: _Amount = 1
    """Million requests that the web firewall inspects."""
    dns_queries_million: _Amount = 1
    """Million DNS queries for the platform's names."""
    s3_gb: _Amount = 100
    """GB in all buckets, all of it in the standard class: data sets, artifacts, checkpoints, logs."""
    s3_writes_thousand: _Amount = 100
    """Thousand requests that write or list objects."""
    s3_reads_thousand: _Amount = 1000
    """Thousand requests that read objects."""
    ecr_gb: _Amount = 20
    """GB of images; layers that images share count once."""
    control_plane_log_gb: _Amount = 10
    """GB of control plane logs, where a stack enables them; the audit log is most of it."""
    log_group_gb: _Amount = 0.2
    """GB into each other log group."""
    flow_log_gb: _Amount = 5
    """GB of flow logs, where a stack enables them."""
    database_backup_gb: _Amount = 20
    """GB of database backups; as much as the database's own storage is free."""
    kms_requests: _Amount = 100_000
    """Number of requests to the encryption keys."""
    secret_requests: _Amount = 10_000
    """Number of requests to Secrets Manager; each secret of the cluster is read every hour."""


FREE_INTERNET_GB = 100
"""GB that an account sends to the internet for free each month (https://aws.amazon.com/ec2/pricing/on-demand/)."""


def assume(given: Sequence[str]) -> Assumptions:
    """Return the assumptions with those of `given`, each NAME=NUMBER, in place of the defaults.

    Raise PlatformError that names every invalid one.
    """
    values: dict[str, str] = {}
    faults: list[str] = []
    for one in given:
        name, equals, number = one.partition("=")
        if not equals:
            faults.append(f"--assume {one} has no number; write {name}=NUMBER")
        elif name in values:
            faults.append(f"--assume {name} is given twice; keep one")
        elif name in Assumptions.model_fields:
            values[name] = number
        else:
            faults.append(f"{name} is not assumed; what is: {', '.join(Assumptions.model_fields)}")
    try:
        assumed = Assumptions.model_validate(values)
    except ValidationError as error:
        faults += [f"--assume {one['loc'][0]}={one['input']}: {one['msg']}" for one in error.errors()]
    if faults:
        raise PlatformError("\n  ".join(["nothing was priced:", *faults]) if len(faults) > 1 else faults[0])
    return assumed

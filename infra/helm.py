"""Installation of a Helm chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from infra.facts.charts import Chart

RELEASE_TIMEOUT_S = 900
PATCH_FORCE = {"pulumi.com/patchForce": "true"}
"""Annotations of a patch that takes its fields over from Helm, which owns all that a chart made, defaults included."""


def release(
    logical_name: str,
    chart: Chart,
    *,
    name: str,
    namespace: pulumi.Input[str],
    values: Mapping[str, Any],
    parent: pulumi.Resource,
    needs: Sequence[pulumi.Resource] = (),
    skip_crds: bool = False,
) -> kubernetes.helm.v3.Release:
    """Install `chart` as release `name`, and wait until what it starts is ready.

    `needs` must exist before and longer, and no value carries that. An installation that fails is rolled back, so
    that the next `pulumi up` begins anew and does not find another operation in progress.
    """
    return kubernetes.helm.v3.Release(
        logical_name,
        name=name,
        namespace=namespace,
        chart=chart.name,
        version=chart.version,
        repository_opts={"repo": chart.repository},
        timeout=RELEASE_TIMEOUT_S,
        atomic=True,
        skip_crds=skip_crds,
        values=dict(values),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(needs)),
    )

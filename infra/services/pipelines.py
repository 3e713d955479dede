"""How pipelines in Airflow learn of the workloads: images by digest, and the jobs that run them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from infra import helm
from infra.services.airflow import NAMESPACE
from infra.services.airflow_values import WORKLOADS

FILLED = "ml-platform/filled"
"""Annotation with the UID of the ConfigMap that was filled."""


@dataclass(frozen=True, kw_only=True)
class PipelinesArgs:
    """Inputs of `Pipelines`: the ConfigMap to fill, an image by digest, and the manifest of a job that runs it."""

    config_map_uid: pulumi.Input[str]
    training_image: pulumi.Input[str]
    training_job: pulumi.Input[Mapping[str, Any]]


class Pipelines(pulumi.ComponentResource):
    """Entries in a ConfigMap that Airflow's pods mount: a new image reaches them without a restart."""

    def __init__(self, name: str, args: PipelinesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:pipelines:Pipelines", name, None, opts)
        kubernetes.core.v1.ConfigMapPatch(
            f"{name}-workloads",
            metadata={
                "name": WORKLOADS,
                "namespace": NAMESPACE,
                # Another ConfigMap of the same name is empty, and filled since this is another input then.
                "annotations": {**helm.PATCH_FORCE, FILLED: args.config_map_uid},
            },
            data={
                "training-image": args.training_image,
                "training-job.json": pulumi.Output.json_dumps(args.training_job, sort_keys=True),
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

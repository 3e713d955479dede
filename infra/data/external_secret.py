"""Secrets of Secrets Manager, brought into the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

API_VERSION = "external-secrets.io/v1"
STORE = "secrets-manager"
_REFRESH_INTERVAL = "1h"


@dataclass(frozen=True, kw_only=True)
class ExternalSecretArgs:
    """Inputs of `ExternalSecret`.

    `keys` maps each key of the Secret to an ARN in Secrets Manager and a property of the JSON object there; `template`
    makes further keys of those, in the operator's template language. A new `generation` makes a Secret of another name,
    so that whoever names it starts with new values and never with the old ones.
    """

    name: str
    namespace: pulumi.Input[str]
    keys: Mapping[str, tuple[pulumi.Input[str], str]]
    template: Mapping[str, str] | None = None
    generation: int = 1
    needs: Sequence[pulumi.Resource]
    """The operator and its store, which must exist first."""


class ExternalSecret(pulumi.ComponentResource):
    """A Kubernetes Secret that the operator keeps equal to what lies in Secrets Manager."""

    secret_name: str
    ready: pulumi.Resource
    """A resource that exists once the Secret has its values; the Secret's name does not carry that."""

    def __init__(self, name: str, args: ExternalSecretArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:secrets:ExternalSecret", name, None, opts)
        self.secret_name = f"{args.name}-{args.generation}"
        target: dict[str, object] = {"name": self.secret_name, "creationPolicy": "Owner"}
        if args.template:
            target["template"] = {"mergePolicy": "Merge", "data": dict(args.template)}
        self.ready = CustomResource(
            name,
            api_version=API_VERSION,
            kind="ExternalSecret",
            metadata={
                "name": self.secret_name,
                "namespace": args.namespace,
                # Pulumi knows no readiness of custom resources by itself.
                "annotations": {"pulumi.com/waitFor": "condition=Ready"},
            },
            spec={
                "refreshInterval": _REFRESH_INTERVAL,
                "secretStoreRef": {"kind": "ClusterSecretStore", "name": STORE},
                "target": target,
                "data": [
                    {"secretKey": key, "remoteRef": {"key": arn, "property": property_}}
                    for key, (arn, property_) in args.keys.items()
                ],
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.needs)),
        )
        self.register_outputs({"secret_name": self.secret_name})

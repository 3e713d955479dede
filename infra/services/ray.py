"""Ray in the cluster: the operator; clusters come with the jobs that bring them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from infra import helm
from infra.cluster.namespaces import Admission, Namespace, NamespaceArgs, Peer
from infra.facts import charts

NAMESPACE = "ray-operator"
_METRICS_PORT = 8080


@dataclass(frozen=True, kw_only=True)
class RayOperatorArgs:
    """Inputs of `RayOperator`; it looks after Ray in `watched` namespaces alone."""

    watched: tuple[str, ...]
    needs: Sequence[pulumi.Resource]


class RayOperator(pulumi.ComponentResource):
    """KubeRay's operator, which makes the cluster of a RayJob and takes it away again."""

    ready: pulumi.Resource
    """Must stand before a RayJob or RayCluster is made, and until it is gone."""

    def __init__(self, name: str, args: RayOperatorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:services:RayOperator", name, None, opts)
        namespace = Namespace(
            f"{name}-namespace",
            NamespaceArgs(
                name=NAMESPACE,
                pod_security="restricted",
                admits=(Admission(name="metrics", peers=(Peer(namespace="monitoring"),), ports=(_METRICS_PORT,)),),
                needs=args.needs,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.ready = helm.release(
            f"{name}-release",
            charts.KUBERAY_OPERATOR,
            name="kuberay-operator",
            namespace=namespace.name,
            values={
                "watchNamespace": list(args.watched),
                "priorityClassName": "platform-system",
                # The chart's limit of 512 MiB is too little for clusters of many workers.
                "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
                "metrics": {"enabled": True, "serviceMonitor": {"enabled": True}},
            },
            parent=self,
            needs=[*args.needs, *namespace.ready],
        )
        self.register_outputs({})

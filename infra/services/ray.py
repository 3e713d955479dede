"""Ray's operator in the cluster; a Ray cluster comes with each job."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from infra import helm
from infra.cluster.namespaces import IngressRule, Namespace, NamespaceArgs, Peer
from infra.cluster.pod_security import NOBODY, running_as
from infra.cluster.ready import ClusterReady
from infra.cluster.rights import grant
from infra.facts import charts
from infra.identity.identity import ServiceAccount

NAMESPACE = "ray-operator"
ACCOUNT = ServiceAccount(namespace=NAMESPACE, name="kuberay-operator")
_HEAD_RETURNS_S = 900
"""Seconds without an answer of a job's head after which the job is given up; a lost head may need a new node."""
_METRICS_PORT = 8080
_LOOK, _KEEP = ("get", "list", "watch"), ("create", "delete", "patch", "update")
_PARTS = ("finalizers", "status")
_RULES: tuple[kubernetes.rbac.v1.PolicyRuleArgsDict, ...] = (
    {"api_groups": [""], "resources": ["pods"], "verbs": [*_LOOK, *_KEEP, "deletecollection"]},
    {"api_groups": [""], "resources": ["services"], "verbs": [*_LOOK, *_KEEP]},
    {"api_groups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
    {"api_groups": ["batch"], "resources": ["jobs"], "verbs": [*_LOOK, *_KEEP]},
    {
        "api_groups": ["ray.io"],
        "resources": ["rayclusters", "rayjobs", "rayservices"],
        "verbs": [*_LOOK, *_KEEP],
    },
    {
        "api_groups": ["ray.io"],
        "resources": [f"{kind}/{part}" for kind in ("rayclusters", "rayjobs", "rayservices") for part in _PARTS],
        "verbs": ["get", "patch", "update"],
    },
)
"""Rights of the operator in the cluster. The chart's own role adds every Secret, account, role and binding of every
namespace, for parts of KubeRay that are not used here; a watched namespace gives rights on its own Secrets. A role of
that namespace would not do for the rest: it goes with the namespace, and nobody could take the finalizers off what lies
in it.
"""


@dataclass(frozen=True, kw_only=True)
class RayOperatorArgs:
    """Inputs of `RayOperator`; it manages Ray in the `watched` namespaces alone."""

    watched: tuple[str, ...]
    cluster: ClusterReady


class RayOperator(pulumi.ComponentResource):
    """KubeRay's operator, which creates and deletes the cluster of a RayJob."""

    ready: pulumi.Resource
    """The operator, which must exist before a RayJob or RayCluster is made, and until it is gone."""

    def __init__(self, name: str, args: RayOperatorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:services:RayOperator", name, None, opts)
        namespace = Namespace(
            f"{name}-namespace",
            NamespaceArgs(
                name=NAMESPACE,
                pod_security="restricted",
                admits=(IngressRule(name="metrics", peers=(Peer(namespace="monitoring"),), ports=(_METRICS_PORT,)),),
                needs=args.cluster.base,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        rights = self._rights(name, namespace.name)
        self.ready = helm.release(
            f"{name}-release",
            charts.KUBERAY_OPERATOR,
            name="kuberay-operator",
            namespace=namespace.name,
            values={
                "watchNamespace": list(args.watched),
                "serviceAccount": {"name": ACCOUNT.name},
                "rbacEnable": False,
                "priorityClassName": "platform-system",
                "podSecurityContext": running_as(NOBODY),
                # The chart's limits, 512 MiB and a tenth of a CPU, stay unless named: too little for many workers.
                "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}},
                "env": [{"name": "RAYJOB_STATUS_CHECK_TIMEOUT_SECONDS", "value": str(_HEAD_RETURNS_S)}],
                "metrics": {"enabled": True, "serviceMonitor": {"enabled": True}},
            },
            parent=self,
            needs=[*args.cluster.base, *namespace.ready, *rights],
        )
        self.register_outputs({})

    def _rights(self, name: str, namespace: pulumi.Input[str]) -> list[pulumi.Resource]:
        """Create the rights of the operator's account in the cluster and, to elect a leader, in its namespace."""
        rbac, child = kubernetes.rbac.v1, pulumi.ResourceOptions(parent=self)
        role = rbac.ClusterRole(f"{name}-role", metadata={"name": ACCOUNT.name}, rules=list(_RULES), opts=child)
        binding = rbac.ClusterRoleBinding(
            f"{name}-role-binding",
            metadata={"name": ACCOUNT.name},
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ACCOUNT.name},
            subjects=[{"kind": "ServiceAccount", "name": ACCOUNT.name, "namespace": namespace}],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role]),  # known to it by name alone
        )
        leader = grant(
            f"{name}-leader",
            name="leader-election",
            namespace=namespace,
            rules=[
                {
                    "api_groups": ["coordination.k8s.io"],
                    "resources": ["leases"],
                    "verbs": ["create", "get", "list", "update"],
                }
            ],
            accounts=(ACCOUNT,),
            opts=child,
        )
        return [binding, leader]

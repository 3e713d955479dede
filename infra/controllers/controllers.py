"""The controllers that the cluster needs before any service runs in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.apiextensions import CustomResource

from infra import helm
from infra.cluster.namespaces import IngressRule, Namespace, NamespaceArgs, Peer
from infra.cluster.node_pools import GPU_TAINT
from infra.cluster.pod_security import HARDENED, NOBODY, running_as
from infra.cluster.rights import grant
from infra.data.external_secret import API_VERSION, STORE
from infra.environment import Environment
from infra.facts import charts
from infra.identity.identity import ServiceAccount
from infra.settings.settings import NodePoolSettings

SYSTEM_NAMESPACE = "kube-system"
LOAD_BALANCER_ACCOUNT = ServiceAccount(namespace=SYSTEM_NAMESPACE, name="aws-load-balancer-controller")
AUTOSCALER_ACCOUNT = ServiceAccount(namespace=SYSTEM_NAMESPACE, name="cluster-autoscaler")
SECRETS_ACCOUNT = ServiceAccount(namespace="external-secrets", name="external-secrets")
PRIORITIES = {"platform-system": 1_000_000, "platform-service": 100_000, "training": 1_000}
"""Priority of each class: when nodes are full, a pod may preempt those of a lower one."""
_ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"


@dataclass(frozen=True, kw_only=True)
class ControllersArgs:
    """Inputs of `Controllers`. EKS calls webhooks from `webhook_callers`; `needs` must outlive the controllers.

    `scaling_groups` are the names of the auto-scaling groups by pool.
    """

    environment: Environment
    kubernetes_version: str
    vpc_id: pulumi.Input[str]
    pools: Mapping[str, NodePoolSettings]
    scaling_groups: Mapping[str, pulumi.Input[str]]
    replicas: int
    load_balancer_role_arn: pulumi.Input[str]
    autoscaler_role_arn: pulumi.Input[str]
    secrets_role_arn: pulumi.Input[str]
    webhook_callers: tuple[Peer, ...]
    needs: Sequence[pulumi.Resource]


class Controllers(pulumi.ComponentResource):
    """Controllers of load balancers, node scaling, GPUs and secrets, and the definitions of monitors' kinds."""

    load_balancers: pulumi.Resource
    """The controller that must exist before an Ingress is made, and until it is gone."""
    gpus: pulumi.Resource
    secrets: list[pulumi.Resource]
    """Resources that must exist before an ExternalSecret is made."""
    base: list[pulumi.Resource]
    """Resources that must exist as long as a namespace has anything in it."""

    def __init__(self, name: str, args: ControllersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:controllers:Controllers", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        priorities = [
            kubernetes.scheduling.v1.PriorityClass(
                f"{name}-{priority}",
                metadata={"name": priority},
                value=value,
                global_default=False,
                description=f"Pods of the {priority.replace('-', ' ')} class.",
                opts=child,
            )
            for priority, value in PRIORITIES.items()
        ]
        # Charts bring monitors, whose kinds must be known before.
        monitors = helm.release(
            f"{name}-monitor-kinds",
            charts.PROMETHEUS_OPERATOR_CRDS,
            name="prometheus-operator-crds",
            namespace=SYSTEM_NAMESPACE,
            values={},
            parent=self,
            needs=args.needs,
        )
        before = [*args.needs, *priorities, monitors]
        self.load_balancers = helm.release(
            f"{name}-load-balancers",
            charts.LOAD_BALANCER_CONTROLLER,
            name="aws-load-balancer-controller",
            namespace=SYSTEM_NAMESPACE,
            values=_load_balancer_values(args),
            parent=self,
            needs=before,
        )
        helm.release(
            f"{name}-autoscaler",
            charts.CLUSTER_AUTOSCALER,
            name="cluster-autoscaler",
            namespace=SYSTEM_NAMESPACE,
            values=_autoscaler_values(args),
            parent=self,
            needs=before,
        )
        self.gpus = helm.release(
            f"{name}-gpus",
            charts.NVIDIA_DEVICE_PLUGIN,
            name="nvidia-device-plugin",
            namespace=SYSTEM_NAMESPACE,
            values=_GPU_VALUES,
            parent=self,
            needs=before,
        )
        self.base = [*before, self.load_balancers]
        webhook = IngressRule(name="webhook", peers=args.webhook_callers, ports=(10250,))
        metrics = IngressRule(name="metrics", peers=(Peer(namespace="monitoring"),), ports=(8080,))
        namespace = Namespace(
            f"{name}-secrets-namespace",
            NamespaceArgs(
                name=SECRETS_ACCOUNT.namespace,
                pod_security="restricted",
                admits=(webhook, metrics),
                needs=before,
            ),
            child,
        )
        token = grant(
            f"{name}-secrets-token",
            name=f"{SECRETS_ACCOUNT.name}-token",
            namespace=namespace.name,
            rules=[
                {
                    "api_groups": [""],
                    "resources": ["serviceaccounts/token"],
                    "resource_names": [SECRETS_ACCOUNT.name],
                    "verbs": ["create"],
                }
            ],
            accounts=(SECRETS_ACCOUNT,),
            opts=child,
        )
        operator = helm.release(
            f"{name}-secrets",
            charts.EXTERNAL_SECRETS,
            name="external-secrets",
            namespace=namespace.name,
            values=_secrets_values(args),
            parent=self,
            needs=[*before, *namespace.ready, token],
        )
        store = CustomResource(
            f"{name}-secret-store",
            api_version=API_VERSION,
            kind="ClusterSecretStore",
            metadata={"name": STORE, "annotations": {"pulumi.com/waitFor": "condition=Ready"}},
            spec={
                "provider": {
                    "aws": {
                        "service": "SecretsManager",
                        "region": args.environment.region,
                        "auth": {
                            "jwt": {
                                "serviceAccountRef": {
                                    "name": SECRETS_ACCOUNT.name,
                                    "namespace": SECRETS_ACCOUNT.namespace,
                                }
                            }
                        },
                    }
                }
            },
            # The operator's webhook answers for this kind.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[operator]),
        )
        self.secrets = [operator, store]
        self.register_outputs({})


def _account(account: ServiceAccount, role_arn: pulumi.Input[str]) -> dict[str, Any]:
    return {"create": True, "name": account.name, "annotations": {_ROLE_ANNOTATION: role_arn}}


def _load_balancer_values(args: ControllersArgs) -> dict[str, Any]:
    return {
        "clusterName": args.environment.cluster_name,
        # Its pods cannot ask the metadata service, which answers nodes alone.
        "region": args.environment.region,
        "vpcId": args.vpc_id,
        "serviceAccount": _account(LOAD_BALANCER_ACCOUNT, args.load_balancer_role_arn),
        "replicaCount": args.replicas,
        "podDisruptionBudget": {"maxUnavailable": 1} if args.replicas > 1 else {},
        # With it, no Service at all can be made while the controller is not ready.
        "enableServiceMutatorWebhook": False,
        "keepTLSSecret": True,
        # Its role has no rights for these two.
        "enableShield": False,
        "enableWaf": False,
        "enableWafv2": True,
        "defaultTargetType": "ip",
        "podSecurityContext": running_as(NOBODY),
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "serviceMonitor": {"enabled": True},
    }


def _autoscaler_values(args: ControllersArgs) -> dict[str, Any]:
    return {
        # Named one by one, with their sizes: of groups that it finds by their tags, it would keep AWS's.
        "autoscalingGroups": [
            {"name": args.scaling_groups[name], "minSize": pool.min_size, "maxSize": pool.max_size}
            for name, pool in args.pools.items()
        ],
        "awsRegion": args.environment.region,
        "image": {"tag": f"v{args.kubernetes_version}.0"},  # it must be of the cluster's minor version
        "rbac": {"serviceAccount": _account(AUTOSCALER_ACCOUNT, args.autoscaler_role_arn)},
        "extraArgs": {
            "balance-similar-node-groups": True,
            # Otherwise a minimum only keeps nodes from being taken away.
            "enforce-node-group-min-size": True,
            "expander": "priority,least-waste",
            "scale-down-unneeded-time": "10m",
            "skip-nodes-with-system-pods": False,
            "skip-nodes-with-local-storage": False,
        },
        "expanderPriorities": expander_priorities(args.pools),
        "containerSecurityContext": HARDENED,
        "securityContext": running_as(NOBODY),
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "serviceMonitor": {"enabled": True, "namespace": SYSTEM_NAMESPACE, "selector": {}},
    }


_GPU_VALUES = {
    # Only where a pool says that there are GPUs: the chart's other ways need node-feature-discovery.
    "nodeSelector": {"nvidia.com/gpu.present": "true"},
    "tolerations": [{"key": GPU_TAINT, "operator": "Exists", "effect": "NoSchedule"}],
    "gfd": {"enabled": False},
    "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
}


_APART = {
    "maxSkew": 1,
    "topologyKey": "kubernetes.io/hostname",
    "whenUnsatisfiable": "ScheduleAnyway",
    "matchLabelKeys": ["pod-template-hash"],  # else pods that an update is about to replace count
}


def _secrets_values(args: ControllersArgs) -> dict[str, Any]:
    resources = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "192Mi"}}
    shared = {"replicaCount": args.replicas, "priorityClassName": "platform-system", "resources": resources}
    budget = {"podDisruptionBudget": {"enabled": True, "minAvailable": 1}}
    return {
        **shared,
        **(budget if args.replicas > 1 else {}),
        "installCRDs": True,
        "leaderElect": True,
        # Nothing here uses these kinds, for which it would have rights.
        "processClusterExternalSecret": False,
        "processClusterGenerator": False,
        "processClusterPushSecret": False,
        "processPushSecret": False,
        # With it, the operator could act as any service account; its own, with which it logs in, is granted apart.
        "rbac": {"serviceAccountTokenCreate": False},
        "serviceAccount": _account(SECRETS_ACCOUNT, args.secrets_role_arn),
        "serviceMonitor": {"enabled": True},
        # Without it no ExternalSecret can be made, changed or deleted: `pulumi up` and `destroy` would stop.
        "webhook": {**shared, **budget, "replicaCount": max(2, args.replicas), "topologySpreadConstraints": [_APART]},
        "certController": {"priorityClassName": "platform-system", "resources": resources},
    }


def expander_priorities(pools: Mapping[str, NodePoolSettings]) -> dict[str, list[str]]:
    """Return the groups that the autoscaler tries first, by priority, the highest first: spot, then on demand.

    A group's name is its pool's with what Pulumi and EKS put around it; a pool's name may begin with another's.
    """
    ranks: dict[str, list[str]] = {}
    for name, pool in pools.items():
        ranks.setdefault("50" if pool.capacity == "spot" else "10", []).append(f"^eks-nodes-{name}-[0-9a-f]{{7}}-.*")
    return ranks

"""Namespaces: their security level, their quota, and the traffic that they admit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any, Literal

import pulumi
import pulumi_kubernetes as kubernetes

PodSecurity = Literal["privileged", "baseline", "restricted"]
"""Level of a namespace (https://kubernetes.io/docs/concepts/security/pod-security-standards/)."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A peer of a namespace's pods: a whole namespace, or a range of addresses."""

    namespace: str | None = None
    cidr: IPv4Network | None = None

    def as_rule(self) -> dict[str, Any]:
        """Return the peer in the form of a NetworkPolicy."""
        if self.namespace is not None:
            return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}}
        return {"ipBlock": {"cidr": str(self.cidr)}}


@dataclass(frozen=True, kw_only=True)
class IngressRule:
    """An ingress rule of a namespace: `peers` reach `ports` of the pods labelled `pods`, of all where it is empty.

    A rule without peers admits nobody.
    """

    name: str
    peers: tuple[Peer, ...]
    ports: tuple[int, ...]
    pods: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NamespaceArgs:
    """Inputs of `Namespace`.

    `quota` bounds what its pods may ask for together, under Kubernetes' names. Nobody outside reaches its pods but
    through `admits`; traffic among them is allowed. `needs` must exist as long as anything runs in it.
    """

    name: str
    pod_security: PodSecurity
    quota: Mapping[str, str] = field(default_factory=dict)
    admits: tuple[IngressRule, ...] = ()
    needs: Sequence[pulumi.Resource] = ()


class Namespace(pulumi.ComponentResource):
    """A namespace that admits no pod above its security level and no traffic but what its rules name."""

    name: pulumi.Output[str]
    ready: list[pulumi.Resource]
    """Resources that must exist before anything is put into the namespace."""

    def __init__(self, name: str, args: NamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:namespaces:Namespace", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        namespace = kubernetes.core.v1.Namespace(
            name,
            metadata={
                "name": args.name,
                "labels": {
                    f"pod-security.kubernetes.io/{mode}": args.pod_security for mode in ("enforce", "audit", "warn")
                },
            },
            # Its pods and volumes go with it, for which nodes, drivers and controllers must still be there.
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.needs)),
        )
        self.name = namespace.metadata.apply(lambda metadata: str(metadata.name))
        self.ready = [namespace]
        if args.quota:
            self.ready.append(
                kubernetes.core.v1.ResourceQuota(
                    f"{name}-quota",
                    metadata={"name": "quota", "namespace": self.name},
                    spec={"hard": dict(args.quota)},
                    opts=child,
                )
            )
        self.ready += [
            kubernetes.networking.v1.NetworkPolicy(
                f"{name}-{policy['name']}",
                metadata={"name": policy["name"], "namespace": self.name},
                spec=policy["spec"],
                opts=child,
            )
            for policy in network_policies(args.admits)
        ]
        self.register_outputs({"name": self.name})


def network_policies(admits: Sequence[IngressRule]) -> list[dict[str, Any]]:
    """Return the policies of a namespace: closed to others, open within, and an ingress rule for each of `admits`."""
    closed = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]}
    rules = [
        {
            "name": f"admit-{rule.name}",
            "spec": {
                "podSelector": {"matchLabels": dict(rule.pods)},
                "policyTypes": ["Ingress"],
                "ingress": [
                    {
                        "from": [peer.as_rule() for peer in rule.peers],
                        "ports": [{"protocol": "TCP", "port": port} for port in rule.ports],
                    }
                ],
            },
        }
        for rule in admits
        if rule.peers  # Kubernetes reads an empty list as everybody
    ]
    return [{"name": "within-the-namespace", "spec": closed}, *rules]

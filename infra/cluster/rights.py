"""Rights of service accounts within a namespace."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as kubernetes

from infra.identity.identity import ServiceAccount


def grant(
    logical_name: str,
    *,
    name: str,
    namespace: pulumi.Input[str],
    rules: Sequence[kubernetes.rbac.v1.PolicyRuleArgsDict],
    accounts: Sequence[ServiceAccount],
    opts: pulumi.ResourceOptions,
) -> kubernetes.rbac.v1.RoleBinding:
    """Create the Role `name` in `namespace`, and return its binding to `accounts`."""
    metadata: kubernetes.meta.v1.ObjectMetaArgsDict = {"name": name, "namespace": namespace}
    role = kubernetes.rbac.v1.Role(logical_name, metadata=metadata, rules=list(rules), opts=opts)
    return kubernetes.rbac.v1.RoleBinding(
        f"{logical_name}-binding",
        metadata=metadata,
        role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        subjects=[
            {"kind": "ServiceAccount", "namespace": account.namespace, "name": account.name} for account in accounts
        ],
        # Known to it by name alone.
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[role])),
    )

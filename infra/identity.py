"""Identities of workloads: one IAM role a service account, with the grants it was given and no more."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.iam import Allow, policy_document, service_account_trust


@dataclass(frozen=True, kw_only=True)
class WorkloadIdentityArgs:
    """Inputs of `WorkloadIdentity`. `oidc_issuer` is the cluster's issuer without its scheme."""

    oidc_provider_arn: pulumi.Input[str]
    oidc_issuer: pulumi.Input[str]
    namespace: str
    service_account: str
    allow: tuple[Allow, ...]


class WorkloadIdentity(pulumi.ComponentResource):
    """A role that one Kubernetes service account can assume."""

    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: WorkloadIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:identity:WorkloadIdentity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        trust = pulumi.Output.all(args.oidc_provider_arn, args.oidc_issuer).apply(
            lambda provider_and_issuer: service_account_trust(
                provider_arn=provider_and_issuer[0],
                issuer=provider_and_issuer[1],
                namespace=args.namespace,
                service_account=args.service_account,
            )
        )
        role = aws.iam.Role(f"{name}-role", assume_role_policy=trust, opts=child)
        aws.iam.RolePolicy(f"{name}-grants", role=role.name, policy=policy_document(args.allow), opts=child)

        self.role_arn = role.arn
        self.register_outputs({"role_arn": self.role_arn})

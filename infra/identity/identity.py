"""Identities: one IAM role a service account or AWS service, with the grants it was given and no more."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.environment import Environment
from infra.identity.iam import Allow, policy_document, service_account_trust, service_trust


@dataclass(frozen=True, kw_only=True)
class OidcIssuer:
    """Issuer of the tokens of a cluster's service accounts; `url` has no scheme."""

    provider_arn: pulumi.Output[str]
    url: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class ServiceAccount:
    """A Kubernetes service account by namespace and name."""

    namespace: str
    name: str


@dataclass(frozen=True, kw_only=True)
class WorkloadIdentityArgs:
    """Inputs of `WorkloadIdentity`: the account, and what it may do by grants or by policies that AWS manages."""

    environment: Environment
    issuer: OidcIssuer
    account: ServiceAccount
    allow: tuple[Allow, ...] = ()
    managed_policies: tuple[str, ...] = ()


class WorkloadIdentity(pulumi.ComponentResource):
    """A role that one Kubernetes service account can assume."""

    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: WorkloadIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:identity:WorkloadIdentity", name, None, opts)
        trust = pulumi.Output.all(args.issuer.provider_arn, args.issuer.url).apply(
            lambda provider_and_url: service_account_trust(
                provider_arn=provider_and_url[0],
                issuer=provider_and_url[1],
                namespace=args.account.namespace,
                service_account=args.account.name,
            )
        )
        role = _role(self, name, args.environment, trust)
        if args.allow:
            aws.iam.RolePolicy(
                f"{name}-grants",
                role=role.name,
                policy=policy_document(args.allow),
                opts=pulumi.ResourceOptions(parent=self),
            )
        _attachments(self, name, args.environment, role, args.managed_policies)

        self.role_arn = role.arn
        self.register_outputs({"role_arn": self.role_arn})


@dataclass(frozen=True, kw_only=True)
class ServiceRoleArgs:
    """Inputs of `ServiceRole`: the AWS service that assumes it, and the policies, managed by AWS, that it needs."""

    environment: Environment
    service: str
    managed_policies: tuple[str, ...]
    actions: tuple[str, ...] = ("sts:AssumeRole",)


class ServiceRole(pulumi.ComponentResource):
    """A role that one AWS service can assume."""

    role: aws.iam.Role
    attachments: list[pulumi.Resource]
    """Resources that must exist before the service can work with the role; its ARN does not carry that."""

    def __init__(self, name: str, args: ServiceRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:identity:ServiceRole", name, None, opts)
        self.role = _role(self, name, args.environment, service_trust(args.service, actions=args.actions))
        self.attachments = _attachments(self, name, args.environment, self.role, args.managed_policies)
        self.register_outputs({"role_arn": self.role.arn})


def _role(parent: pulumi.Resource, name: str, environment: Environment, trust: pulumi.Input[str]) -> aws.iam.Role:
    return aws.iam.Role(
        f"{name}-role",
        path=environment.role_path,
        permissions_boundary=environment.permissions_boundary,
        assume_role_policy=trust,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _attachments(
    parent: pulumi.Resource, name: str, environment: Environment, role: aws.iam.Role, policies: tuple[str, ...]
) -> list[pulumi.Resource]:
    return [
        aws.iam.RolePolicyAttachment(
            f"{name}-{policy.rpartition('/')[2]}",
            role=role.name,
            policy_arn=pulumi.Output.format("arn:{0}:iam::aws:policy/{1}", environment.partition, policy),
            opts=pulumi.ResourceOptions(parent=parent),
        )
        for policy in policies
    ]

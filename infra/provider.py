"""The AWS provider that every resource of a stack is made with."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.tags import standard_tags

_EMULATED_SERVICES = (
    "acm",
    "autoscaling",
    "budgets",
    "cloudwatch",
    "ec2",
    "ecr",
    "eks",
    "iam",
    "kms",
    "logs",
    "rds",
    "route53",
    "s3",
    "secretsmanager",
    "sns",
    "sts",
    "wafv2",
)


@dataclass(frozen=True, kw_only=True)
class AwsPlace:
    """Partition and account in which a provider makes things: the parts of an ARN that are not the resource's own."""

    partition: pulumi.Output[str]
    account: pulumi.Output[str]


def aws_place(provider: aws.Provider) -> AwsPlace:
    """Return the partition and account that `provider` works in."""
    options = pulumi.InvokeOutputOptions(provider=provider)
    return AwsPlace(
        partition=aws.get_partition_output(opts=options).partition,
        account=aws.get_caller_identity_output(opts=options).account_id,
    )


def aws_provider(
    *,
    region: pulumi.Input[str],
    environment: str,
    deploy_role_arn: str | None = None,
    emulator: str | None = None,
) -> aws.Provider:
    """Return the provider of `region`, acting as the deploy role where one is named; it tags what it makes.

    Without one it acts as who runs the program. With the URL of an `emulator` it talks to that alone and skips what
    needs an account.
    """
    tags = aws.ProviderDefaultTagsArgs(tags=standard_tags(environment))
    if emulator is None:
        roles = [aws.ProviderAssumeRoleArgs(role_arn=deploy_role_arn)] if deploy_role_arn else None
        return aws.Provider("aws", region=region, default_tags=tags, assume_roles=roles)
    return aws.Provider(
        "aws",
        region=region,
        default_tags=tags,
        endpoints=[aws.ProviderEndpointArgs(**dict.fromkeys(_EMULATED_SERVICES, emulator))],
        access_key="emulator",
        secret_key="emulator",  # noqa: S106  the emulator accepts any
        skip_credentials_validation=True,
        skip_requesting_account_id=True,
        skip_metadata_api_check=True,
        s3_use_path_style=True,
    )


def acting_kubeconfig(kubeconfig: pulumi.Input[str], deploy_role_arn: str | None) -> pulumi.Output[str]:
    """Return a cluster's `kubeconfig` for the caller's own credentials without a role, and unchanged with one.

    The cluster's own names the role that deployed it, which a preview may not assume.
    """
    known = pulumi.Output.from_input(kubeconfig)
    return known if deploy_role_arn else known.apply(without_role)


def without_role(kubeconfig: str) -> str:
    """Return a kubeconfig of pulumi-eks in which `aws eks get-token` logs in as its caller."""
    content = json.loads(kubeconfig)
    for user in content.get("users", []):
        command = user.get("user", {}).get("exec", {})
        arguments = command.get("args", [])
        if "--role" in arguments:
            at = arguments.index("--role")
            command["args"] = [*arguments[:at], *arguments[at + 2 :]]
    return json.dumps(content)

"""Secrets that are generated here, kept in Secrets Manager, and never an output of a stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from infra.environment import Environment
from infra.identity.iam import Allow
from infra.naming import secret_prefix


def generated_password(name: str, *, generation: int = 1, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Generate a password of 32 letters and digits, new with every `generation`.

    Nothing but letters and digits: passwords travel through connection URLs, ini files and `sed`.
    """
    keepers = {"generation": str(generation)}
    return random.RandomPassword(name, length=32, special=False, keepers=keepers, opts=opts).result


@dataclass(frozen=True, kw_only=True)
class StoredSecretArgs:
    """Inputs of `StoredSecret`."""

    environment: Environment
    value: Mapping[str, pulumi.Input[str | int | None]]


class StoredSecret(pulumi.ComponentResource):
    """A secret in Secrets Manager, a JSON object."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: StoredSecretArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:secrets:StoredSecret", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # A deleted secret keeps its name for the recovery window, so the name ends in something new.
        secret = aws.secretsmanager.Secret(
            f"{name}-secret",
            name_prefix=f"{secret_prefix(args.environment.name)}{name}-",
            recovery_window_in_days=args.environment.recovery_days,
            opts=child,
        )
        version = aws.secretsmanager.SecretVersion(
            f"{name}-value", secret_id=secret.id, secret_string=pulumi.Output.json_dumps(args.value), opts=child
        )
        self.arn = version.secret_id  # by way of the version: whoever gets it, gets it once there is a value
        self.register_outputs({"arn": self.arn})


def secrets_access(environment: Environment) -> tuple[Allow, ...]:
    """Return what lets External Secrets read all secrets of an environment and no others."""
    arn = pulumi.Output.format(
        "arn:{0}:secretsmanager:{1}:{2}:secret:{3}*",
        environment.partition,
        environment.region,
        environment.account,
        secret_prefix(environment.name),
    )
    return (Allow(actions=("secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"), resources=(arn,)),)

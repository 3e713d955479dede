"""IAM documents: this module alone writes their JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi


@dataclass(frozen=True, kw_only=True)
class Allow:
    """What the owner of a resource lets an identity do with it."""

    actions: tuple[str, ...]
    resources: tuple[pulumi.Input[str], ...]


def policy_document(allow: Sequence[Allow]) -> pulumi.Output[str]:
    """The policy that grants all of `allow`."""
    statements = [{"Effect": "Allow", "Action": list(one.actions), "Resource": list(one.resources)} for one in allow]
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": statements})


def service_trust(service: str) -> str:
    """The trust policy of a role that an AWS service assumes, for example `ec2.amazonaws.com`."""
    return _trust({"Service": service}, "sts:AssumeRole", None)


def service_account_trust(*, provider_arn: str, issuer: str, namespace: str, service_account: str) -> str:
    """The trust policy of a role that one Kubernetes service account assumes through the cluster's OIDC issuer.

    `issuer` has no scheme. Subject and audience are pinned: a token of another service account is refused
    (https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html).
    """
    subject = f"system:serviceaccount:{namespace}:{service_account}"
    condition = {"StringEquals": {f"{issuer}:sub": subject, f"{issuer}:aud": "sts.amazonaws.com"}}
    return _trust({"Federated": provider_arn}, "sts:AssumeRoleWithWebIdentity", condition)


def _trust(principal: dict[str, str], action: str, condition: dict[str, dict[str, str]] | None) -> str:
    statement: dict[str, object] = {"Effect": "Allow", "Principal": principal, "Action": action}
    if condition:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

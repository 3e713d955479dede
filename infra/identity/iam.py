"""IAM documents: this module alone writes their JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi

ANYONE = "*"
_GITHUB_ISSUER = "token.actions.githubusercontent.com"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One test of a statement: `operator` compares the request's `key` with any of `values`."""

    operator: str
    key: str
    values: tuple[pulumi.Input[str], ...]


@dataclass(frozen=True, kw_only=True)
class Allow:
    """Actions on resources that their owner allows an identity."""

    actions: tuple[str, ...]
    resources: tuple[pulumi.Input[str], ...]
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ResourceStatement:
    """A statement of a resource's own policy on `principal`: `*`, or a mapping such as `{"Service": "..."}`."""

    effect: Literal["Allow", "Deny"] = "Allow"
    principal: str | Mapping[str, str]
    actions: tuple[str, ...]
    resources: tuple[pulumi.Input[str], ...]
    conditions: tuple[Condition, ...] = ()


def policy_document(allow: Sequence[Allow]) -> pulumi.Output[str]:
    """Return the policy that grants all of `allow`."""
    return pulumi.Output.json_dumps(_document([_grant(one) for one in allow]))


def plain_policy_document(allow: Sequence[Allow]) -> str:
    """Return the policy that grants all of `allow`, whose resources and conditions are plain text; needs no Pulumi."""
    return json.dumps(_document([_grant(one) for one in allow]))


def resource_policy(statements: Sequence[ResourceStatement]) -> pulumi.Output[str]:
    """Return the policy of a resource, such as a bucket or a topic."""
    return pulumi.Output.json_dumps(_resource_document(statements))


def plain_resource_policy(statements: Sequence[ResourceStatement]) -> str:
    """Return the policy of a resource from statements of plain text, outside of a Pulumi program."""
    return json.dumps(_resource_document(statements))


def service_trust(service: str, *, actions: tuple[str, ...] = ("sts:AssumeRole",)) -> str:
    """Return the trust policy of a role that an AWS service assumes, for example `ec2.amazonaws.com`."""
    return json.dumps(_document([_trusted({"Service": service}, actions, ())]))


def service_account_trust(*, provider_arn: str, issuer: str, namespace: str, service_account: str) -> str:
    """Return the trust policy of a role that one Kubernetes service account assumes through the cluster's OIDC issuer.

    `issuer` has no scheme. Subject and audience are pinned: a token of another service account is refused
    (https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html).
    """
    subject = f"system:serviceaccount:{namespace}:{service_account}"
    return _federated_trust(provider_arn, issuer, (subject,))


def github_trust(*, provider_arn: str, subjects: tuple[str, ...]) -> str:
    """Return the trust policy of a role that GitHub's workflows assume, for tokens with one of `subjects` alone.

    A subject is exact, for example `repo:owner/name:environment:prod`
    (https://docs.github.com/en/actions/reference/security/oidc).
    """
    return _federated_trust(provider_arn, _GITHUB_ISSUER, subjects)


def deployer_trust(*, provider_arn: str, subject: str, account_root: str, principals: tuple[str, ...]) -> str:
    """Return the trust policy of a role that GitHub's workflows assume, and `principals` of the role's own account.

    The role itself is one of those: AWS lets no role assume itself that does not say so
    (https://aws.amazon.com/blogs/security/announcing-an-update-to-iam-role-trust-policy-behavior/).
    """
    named = Condition(operator="ArnEquals", key="aws:PrincipalArn", values=principals)
    return json.dumps(
        _document(
            [
                _federated(provider_arn, _GITHUB_ISSUER, (subject,)),
                _trusted({"AWS": account_root}, ("sts:AssumeRole",), (named,)),
            ]
        )
    )


def _federated_trust(provider_arn: str, issuer: str, subjects: tuple[str, ...]) -> str:
    return json.dumps(_document([_federated(provider_arn, issuer, subjects)]))


def _federated(provider_arn: str, issuer: str, subjects: tuple[str, ...]) -> dict[str, Any]:
    conditions = (
        Condition(operator="StringEquals", key=f"{issuer}:sub", values=subjects),
        Condition(operator="StringEquals", key=f"{issuer}:aud", values=("sts.amazonaws.com",)),
    )
    return _trusted({"Federated": provider_arn}, ("sts:AssumeRoleWithWebIdentity",), conditions)


def _trusted(
    principal: Mapping[str, str], actions: tuple[str, ...], conditions: tuple[Condition, ...]
) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": principal,
        "Action": _one_or_many(actions),
        **_conditions(conditions),
    }


def _grant(allow: Allow) -> dict[str, Any]:
    return {"Effect": "Allow", **_body(allow)}


def _body(one: Allow | ResourceStatement) -> dict[str, Any]:
    return {"Action": list(one.actions), "Resource": list(one.resources), **_conditions(one.conditions)}


def _conditions(conditions: Sequence[Condition]) -> dict[str, Any]:
    tests: dict[str, dict[str, Any]] = {}
    for one in conditions:
        tests.setdefault(one.operator, {})[one.key] = _one_or_many(one.values)
    return {"Condition": tests} if tests else {}


def _resource_document(statements: Sequence[ResourceStatement]) -> dict[str, Any]:
    return _document([{"Effect": one.effect, "Principal": one.principal, **_body(one)} for one in statements])


def _one_or_many(values: tuple[pulumi.Input[str], ...]) -> Any:
    return values[0] if len(values) == 1 else list(values)


def _document(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}

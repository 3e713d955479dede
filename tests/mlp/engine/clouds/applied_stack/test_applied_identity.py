"""Who assumes the roles of an applied stack: documents read back through boto3 and judged as IAM judges them."""

from __future__ import annotations

from typing import Any

import pytest

from mlp.engine.cloud import ACCOUNT
from tests.iam_evaluator import trusts
from tests.mlp.engine.clouds.applied import Applied
from tests.mlp.engine.clouds.applied_stack.roles import MANAGED_POLICIES, SERVICE_ACCOUNTS, grants_of, role_name

SERVICES = {
    "cluster-control-plane": "eks.amazonaws.com",
    "nodes": "ec2.amazonaws.com",
    "database-monitoring": "monitoring.rds.amazonaws.com",
}
WEB_IDENTITY = "sts:AssumeRoleWithWebIdentity"
STRANGERS = ("default:default", "mlflow:default", "training:mlflow", "mlflow:training", "kube-system:mlflow")


def trust_of(applied: Applied, role: str) -> dict[str, Any]:
    described = applied.client("iam").get_role(RoleName=role_name(applied, role))["Role"]
    document: dict[str, Any] = described["AssumeRolePolicyDocument"]
    return document


def issuer_arn(applied: Applied) -> str:
    return applied.id("aws:iam/openIdConnectProvider:OpenIdConnectProvider")


def claims(applied: Applied, account: str, audience: str = "sts.amazonaws.com") -> dict[str, str]:
    """What a token of a service account says of itself."""
    issuer = issuer_arn(applied).partition("oidc-provider/")[2]
    return {f"{issuer}:sub": f"system:serviceaccount:{account}", f"{issuer}:aud": audience}


def test_there_are_these_roles_and_no_other(applied: Applied) -> None:
    roles = applied.client("iam").list_roles()["Roles"]

    assert {role["RoleName"] for role in roles} == {role_name(applied, role) for role in (*SERVICE_ACCOUNTS, *SERVICES)}
    assert {role["Path"] for role in roles} == {f"/ml-platform/{applied.stack}/"}


def test_the_clusters_issuer_is_known_to_iam(applied: Applied) -> None:
    outputs = applied.outputs
    provider = applied.client("iam").get_open_id_connect_provider(OpenIDConnectProviderArn=issuer_arn(applied))
    cluster = applied.client("eks").describe_cluster(name=outputs["cluster_name"])["cluster"]

    assert f"https://{provider['Url']}" == cluster["identity"]["oidc"]["issuer"]
    assert provider["ClientIDList"] == ["sts.amazonaws.com"]


@pytest.mark.parametrize("role", SERVICE_ACCOUNTS)
def test_a_token_of_the_right_service_account_assumes_its_role_and_no_other_does(applied: Applied, role: str) -> None:
    trust, issuer = trust_of(applied, role), {"Federated": issuer_arn(applied)}

    for account in {*SERVICE_ACCOUNTS.values(), *STRANGERS}:
        assert trusts(trust, action=WEB_IDENTITY, principal=issuer, context=claims(applied, account)) is (
            account == SERVICE_ACCOUNTS[role]
        )


@pytest.mark.parametrize("role", SERVICE_ACCOUNTS)
def test_a_token_for_others_or_of_others_assumes_nothing(applied: Applied, role: str) -> None:
    trust, own = trust_of(applied, role), {"Federated": issuer_arn(applied)}
    right = claims(applied, SERVICE_ACCOUNTS[role])
    other_issuer = {"Federated": own["Federated"] + "0"}
    other_audience = claims(applied, SERVICE_ACCOUNTS[role], audience="kubernetes.default.svc")

    assert not trusts(trust, action=WEB_IDENTITY, principal=other_issuer, context=right)
    assert not trusts(trust, action=WEB_IDENTITY, principal=own, context=other_audience)
    assert not trusts(trust, action=WEB_IDENTITY, principal=own)
    for principal in ({"Service": "ec2.amazonaws.com"}, {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}):
        assert not trusts(trust, action="sts:AssumeRole", principal=principal)


@pytest.mark.parametrize("role", SERVICES)
def test_a_service_assumes_its_role_and_no_other_service_does(applied: Applied, role: str) -> None:
    trust = trust_of(applied, role)
    for service in SERVICES.values():
        assert trusts(trust, action="sts:AssumeRole", principal={"Service": service}) is (service == SERVICES[role])
    issuer = {"Federated": issuer_arn(applied)}
    assert not trusts(trust, action=WEB_IDENTITY, principal=issuer, context=claims(applied, "mlflow:mlflow"))


@pytest.mark.parametrize("role", [*SERVICE_ACCOUNTS, *SERVICES])
def test_a_role_has_the_policies_of_aws_that_its_work_needs_or_grants_of_its_own(applied: Applied, role: str) -> None:
    attached = applied.client("iam").list_attached_role_policies(RoleName=role_name(applied, role))["AttachedPolicies"]

    assert {policy["PolicyName"] for policy in attached} == MANAGED_POLICIES.get(role, set())
    assert all(policy["PolicyArn"].startswith("arn:aws:iam::aws:policy/") for policy in attached)
    assert bool(grants_of(applied, role)) is (role not in MANAGED_POLICIES)


def test_the_volume_driver_runs_as_its_role(applied: Applied) -> None:
    role = applied.client("iam").get_role(RoleName=role_name(applied, "addons-ebs-csi"))["Role"]

    assert applied.inputs("aws:eks/addon:Addon", "addons-aws-ebs-csi-driver")["serviceAccountRoleArn"] == role["Arn"]

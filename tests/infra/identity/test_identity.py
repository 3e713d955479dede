"""Roles: who assumes them, and that every one carries what its environment wants of all."""

import json

import pulumi
import pytest

from infra.identity.iam import Allow, github_trust, plain_policy_document, policy_document, service_account_trust
from infra.identity.identity import (
    ServiceAccount,
    ServiceRole,
    ServiceRoleArgs,
    WorkloadIdentity,
    WorkloadIdentityArgs,
)
from tests.builders import deploy, inputs_of
from tests.iam_evaluator import allows, trusts
from tests.infra.builders import ENVIRONMENT, ISSUER_URL, environment, issuer

READ = Allow(actions=("s3:GetObject",), resources=("arn:aws:s3:::b/*",))
PROVIDER = f"arn:aws:iam::123456789012:oidc-provider/{ISSUER_URL}"
WEB_IDENTITY = "sts:AssumeRoleWithWebIdentity"


def deploy_identity(*, given=ENVIRONMENT, allow=(READ,), managed_policies=()):
    def declare():
        args = WorkloadIdentityArgs(
            environment=given,
            issuer=issuer(),
            account=ServiceAccount(namespace="serving", name="server"),
            allow=allow,
            managed_policies=managed_policies,
        )
        WorkloadIdentity("server", args)

    return deploy(declare)


@pytest.mark.parametrize(
    ("subject", "audience", "trusted"),
    [
        ("system:serviceaccount:serving:server", "sts.amazonaws.com", True),
        ("system:serviceaccount:serving:other", "sts.amazonaws.com", False),
        ("system:serviceaccount:other:server", "sts.amazonaws.com", False),
        ("system:serviceaccount:serving:server", "elsewhere", False),
    ],
)
def test_one_service_account_alone_assumes_a_workloads_role(subject, audience, trusted):
    [role] = inputs_of(deploy_identity(), "aws:iam/role:Role").values()
    claims = {f"{ISSUER_URL}:sub": subject, f"{ISSUER_URL}:aud": audience}
    document = json.loads(role["assumeRolePolicy"])
    assert trusts(document, action=WEB_IDENTITY, principal={"Federated": PROVIDER}, context=claims) is trusted
    assert not trusts(document, action=WEB_IDENTITY, principal={"Federated": "arn:other"}, context=claims)


def test_a_workload_gets_the_grants_it_was_given_and_no_managed_policy():
    identity = deploy_identity()
    [policy] = inputs_of(identity, "aws:iam/rolePolicy:RolePolicy").values()
    assert json.loads(policy["policy"])["Statement"] == [
        {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::b/*"]}
    ]
    assert not identity.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")


def test_a_workload_without_grants_has_the_managed_policies_it_was_given():
    identity = deploy_identity(allow=(), managed_policies=("service-role/AmazonEBSCSIDriverPolicy",))
    assert not identity.of_type("aws:iam/rolePolicy:RolePolicy")
    [attachment] = inputs_of(identity, "aws:iam/rolePolicyAttachment:RolePolicyAttachment").values()
    assert attachment["policyArn"] == "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"


def test_every_role_lies_under_the_environments_path_and_within_its_boundary():
    boundary = "arn:aws:iam::123456789012:policy/boundary"
    given = environment(name="dev", permissions_boundary=boundary)
    service = deploy(
        lambda: ServiceRole("db", ServiceRoleArgs(environment=given, service="rds.amazonaws.com", managed_policies=()))
    )
    for deployment in (deploy_identity(given=given), service):
        [role] = inputs_of(deployment, "aws:iam/role:Role").values()
        assert (role["path"], role["permissionsBoundary"]) == ("/ml-platform/dev/", boundary)


def test_a_service_role_is_assumed_by_its_service_alone():
    args = ServiceRoleArgs(environment=ENVIRONMENT, service="ec2.amazonaws.com", managed_policies=("A",))
    [role] = inputs_of(deploy(lambda: ServiceRole("nodes", args)), "aws:iam/role:Role").values()
    document = json.loads(role["assumeRolePolicy"])
    assert trusts(document, action="sts:AssumeRole", principal={"Service": "ec2.amazonaws.com"})
    assert not trusts(document, action="sts:AssumeRole", principal={"Service": "eks.amazonaws.com"})


def test_a_policy_document_resolves_the_arns_it_is_given():
    def declare():
        arn = pulumi.Output.from_input("arn:aws:s3:::b/*")
        pulumi.export("policy", policy_document([Allow(actions=("s3:GetObject",), resources=(arn,))]))

    document = json.loads(deploy(declare).outputs["policy"])
    assert allows([document], action="s3:GetObject", resource="arn:aws:s3:::b/a")
    assert document == json.loads(plain_policy_document([READ]))


def test_trust_names_the_federated_provider():
    document = service_account_trust(provider_arn="arn", issuer="i", namespace="n", service_account="s")
    assert json.loads(document)["Statement"][0]["Principal"] == {"Federated": "arn"}


@pytest.mark.parametrize(
    ("subject", "trusted"),
    [
        ("repo:owner/name:environment:prod", True),
        ("repo:owner/name:environment:dev", False),
        ("repo:owner/name:pull_request", False),
        ("repo:stranger/name:environment:prod", False),
    ],
)
def test_githubs_workflows_assume_a_role_by_their_exact_subject(subject, trusted):
    document = json.loads(github_trust(provider_arn="arn", subjects=("repo:owner/name:environment:prod",)))
    claims = {
        "token.actions.githubusercontent.com:sub": subject,
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
    }
    assert trusts(document, action=WEB_IDENTITY, principal={"Federated": "arn"}, context=claims) is trusted

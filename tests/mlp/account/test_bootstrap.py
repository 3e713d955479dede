import json
import re

import boto3
import pytest
import yaml
from botocore.exceptions import EndpointConnectionError, NoCredentialsError

from infra.settings.settings import PlatformSettings
from mlp.account.identity import same_document
from mlp.account.operation import bootstrap
from mlp.account.plan import COST_TAGS, GITHUB_ISSUER
from mlp.account.report import as_data, next_steps
from mlp.engine.programs import PLATFORM
from mlp.shared.errors import PlatformError
from tests.iam_evaluator import allows, trusts
from tests.mlp.account.builders import ACCOUNT, EMAIL, Quiet, options, refusal

PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{GITHUB_ISSUER}"
ROLES = ("ml-platform-deploy-dev", "ml-platform-deploy-prod", "ml-platform-preview", "ml-platform-images")


def run(account, **more):
    return bootstrap(options(**more), account, Quiet())


def states(result):
    return {one.thing: one.state for one in result.outcomes}


def notes(result):
    return {one.thing: one.note for one in result.outcomes}


def test_an_empty_account_is_given_everything_and_a_second_run_keeps_it(account):
    asked = {"emails": (EMAIL,), "zone": "ml.example.org", "permissions_boundary": f"arn:aws:iam::{ACCOUNT}:policy/b"}
    account.ce.tags = dict.fromkeys(COST_TAGS, "Inactive")
    first = run(account, **asked)
    assert set(states(first).values()) == {"created", "updated"}
    changes = list(account.iam.changes)
    again = run(account, **asked)
    assert set(states(again).values()) == {"kept"}
    assert account.iam.changes == changes
    assert [one.id for one in again.outcomes] == [one.id for one in first.outcomes]
    assert {f"role {name}" for name in ROLES} < set(states(first))


CLAIMS = [
    ("ml-platform-deploy-dev", "repo:team/platform:environment:dev", True),
    ("ml-platform-deploy-dev", "repo:team/platform:environment:prod", False),
    ("ml-platform-deploy-dev", "repo:team/platform:environment:dev-2", False),
    ("ml-platform-deploy-prod", "repo:team/platform:ref:refs/heads/main", False),
    ("ml-platform-deploy-prod", "repo:team/platform:pull_request", False),
    ("ml-platform-deploy-prod", "repo:team/another:environment:prod", False),
    ("ml-platform-preview", "repo:team/platform:pull_request", True),
    ("ml-platform-preview", "repo:stranger/platform:pull_request", False),
    ("ml-platform-preview", "repo:team/platform:ref:refs/heads/main", False),
    ("ml-platform-images", "repo:team/platform:ref:refs/heads/main", True),
    ("ml-platform-images", "repo:team/platform:environment:prod", True),
    ("ml-platform-images", "repo:team/platform:ref:refs/heads/feature", False),
    ("ml-platform-images", "repo:team/platform:pull_request", False),
]


def logs_in(trust, claims):
    action, principal = "sts:AssumeRoleWithWebIdentity", {"Federated": PROVIDER}
    return trusts(trust, action=action, principal=principal, context=claims)


def token(subject, audience="sts.amazonaws.com"):
    return {f"{GITHUB_ISSUER}:sub": subject, f"{GITHUB_ISSUER}:aud": audience}


@pytest.mark.parametrize(("role", "subject", "allowed"), CLAIMS)
def test_a_role_takes_the_tokens_that_it_is_for(account, role, subject, allowed):
    run(account)
    trust = account.trust_of(role)
    assert logs_in(trust, token(subject)) is allowed
    assert not logs_in(trust, token(subject, audience="another"))


def test_a_repository_given_with_its_ids_is_trusted_under_them_alone(account):
    run(account, repository="team@12/platform@345")
    trust = account.trust_of("ml-platform-deploy-dev")
    assert logs_in(trust, token("repo:team@12/platform@345:environment:dev"))
    assert not logs_in(trust, token("repo:team/platform:environment:dev"))


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        ("role/ml-platform-deploy-dev", True),
        ("user/ada", True),
        ("user/eve", False),
        ("role/ml-platform-deploy-prod", False),
        ("role/ml-platform-preview", False),
    ],
)
def test_a_deploy_role_is_assumed_by_itself_and_the_named_deployers_beside_github(account, who, allowed):
    run(account, deployers=(f"arn:aws:iam::{ACCOUNT}:user/ada",))
    trust = account.trust_of("ml-platform-deploy-dev")
    own_account = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    caller = {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:{who}"}
    assert trusts(trust, action="sts:AssumeRole", principal=own_account, context=caller) is allowed
    assert not trusts(account.trust_of("ml-platform-preview"), action="sts:AssumeRole", principal=own_account)
    [policy] = account.policies_of("ml-platform-deploy-dev")
    for role in ("ml-platform-deploy-dev", "ml-platform-deploy-prod"):
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        assert allows([policy], action="sts:AssumeRole", resource=arn) is (role == "ml-platform-deploy-dev")


def test_a_role_may_do_what_it_is_for_in_its_account(account):
    run(account, state_bucket="team-state")
    [policy] = account.policies_of("ml-platform-deploy-dev")

    def may(action, resource):
        return allows([policy], action=action, resource=resource, context={"aws:RequestedRegion": "us-east-1"})

    assert may("eks:CreateCluster", f"arn:aws:eks:us-east-1:{ACCOUNT}:cluster/ml-platform-dev")
    assert may("s3:PutObject", "arn:aws:s3:::team-state/.pulumi/stacks/ml-platform/dev.json")
    for role in ROLES:
        assert not may("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/{role}")


def test_a_deployment_may_take_two_hours_and_no_other_role_longer_than_one(account):
    run(account)
    lengths = {name: account.iam.get_role(RoleName=name)["Role"]["MaxSessionDuration"] for name in ROLES}
    assert set(lengths.values()) == {3600, 7200}
    assert {name for name, seconds in lengths.items() if seconds == 7200} == set(ROLES[:2])


def test_a_login_provider_that_is_there_keeps_its_audiences_and_is_given_ours(account):
    account.iam.create_open_id_connect_provider(Url=f"https://{GITHUB_ISSUER}", ClientIDList=["another"])
    assert states(run(account))["GitHub login provider"] == "updated"
    found = account.iam.get_open_id_connect_provider(OpenIDConnectProviderArn=PROVIDER)
    assert found["ClientIDList"] == ["another", "sts.amazonaws.com"]
    assert states(run(account))["GitHub login provider"] == "kept"


def test_a_trust_changed_by_hand_is_put_right_and_said(account):
    run(account)
    before = account.trust_of("ml-platform-preview")
    opened = json.dumps({**before, "Statement": [{**before["Statement"][0], "Condition": {}}]})
    account.iam.update_assume_role_policy(RoleName="ml-platform-preview", PolicyDocument=opened)
    result = run(account)
    assert states(result)["role ml-platform-preview"] == "updated"
    assert notes(result)["role ml-platform-preview"] == "trust"
    assert {state for thing, state in states(result).items() if "role" in thing} == {"kept", "updated"}
    assert account.trust_of("ml-platform-preview") == before


def test_a_role_made_by_hand_is_brought_to_the_plan_and_keeps_what_else_it_holds(account):
    account.iam.create_role(RoleName="ml-platform-images", AssumeRolePolicyDocument='{"Statement": []}')
    mine = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [mine]})
    account.iam.put_role_policy(RoleName="ml-platform-images", PolicyName="mine", PolicyDocument=document)
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/bound"
    result = run(account, permissions_boundary=boundary)
    assert states(result)["role ml-platform-images"] == "updated"
    assert (
        "trust, policy, session length and description, permissions boundary"
        in notes(result)["role ml-platform-images"]
    )
    assert "also holds mine" in notes(result)["role ml-platform-images"]
    role = account.iam.get_role(RoleName="ml-platform-images")["Role"]
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    assert account.iam.list_role_policies(RoleName="ml-platform-images")["PolicyNames"] == ["mine", "access"]


def test_a_role_that_lost_its_policy_is_given_it_again(account):
    run(account)
    account.iam.delete_role_policy(RoleName="ml-platform-preview", PolicyName="access")
    assert notes(run(account))["role ml-platform-preview"] == "policy"
    assert states(run(account))["role ml-platform-preview"] == "kept"


def test_another_bucket_is_another_policy(account):
    run(account)
    assert notes(run(account, state_bucket="team-state"))["role ml-platform-deploy-dev"] == "policy"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"Action": "a"}, {"Action": ["a"]}, True),
        ({"Action": ["a", "b"]}, {"Action": ["b", "a"]}, True),
        ({"Action": ["a", "b"]}, '{"Action": ["b", "a"]}', True),
        ({"Action": ["a", "b"]}, {"Action": ["a"]}, False),
        ({"Action": "a", "Condition": {}}, {"Action": "a"}, False),
    ],
)
def test_documents_are_compared_by_what_they_say(one, other, same):
    assert same_document(one, other) is same


def test_a_missing_permission_is_named_with_what_was_done_and_a_second_run_goes_on(account):
    error = refusal("AccessDenied", "User: me is not authorized", "CreateRole")
    account.iam.refused = ("create_role", "ml-platform-preview", error)
    with pytest.raises(PlatformError) as stopped:
        run(account)
    said = str(stopped.value)
    assert "you may not call iam:CreateRole: User: me is not authorized" in said
    assert (
        "GitHub login provider created, role ml-platform-deploy-dev created, role ml-platform-deploy-prod created"
        in said
    )
    assert "running this again goes on from there" in said
    account.iam.refused = None
    after = states(run(account))
    assert (after["role ml-platform-deploy-prod"], after["role ml-platform-preview"]) == ("kept", "created")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NoCredentialsError(), "no AWS credentials were found"),
        (refusal("ExpiredToken", "expired", "GetCallerIdentity"), "your AWS credentials have expired"),
        (refusal("InvalidClientTokenId", "invalid", "GetCallerIdentity"), "AWS does not know your credentials"),
    ],
)
def test_credentials_that_open_nothing_are_said_before_anything_is_done(account, error, said):
    class Closed:
        def get_caller_identity(self):
            raise error

    with pytest.raises(PlatformError, match=f"nothing was done: {said}"):
        bootstrap(options(), lambda service: {"sts": Closed()}[service], Quiet())


def test_a_key_of_another_account_is_refused_before_anything_is_done(account):
    key = "arn:aws:kms:us-east-1:999999999999:key/abc"
    with pytest.raises(
        PlatformError, match=f"of account {ACCOUNT}, but --secrets-key {key} lies in account 999999999999"
    ):
        run(account, secrets_key_arn=key)
    assert account.iam.changes == []


def test_a_zone_is_made_once_and_its_name_servers_are_told(account):
    first, again = run(account, zone="ml.example.org"), run(account, zone="ml.example.org")
    assert (states(first)["zone ml.example.org"], states(again)["zone ml.example.org"]) == ("created", "kept")
    assert first.zone
    assert again.zone
    assert (first.zone.id, first.zone.name_servers) == (again.zone.id, again.zone.name_servers)
    said = next_steps(options(zone="ml.example.org"), first)
    assert f"    edge:\n      zone_id: {first.zone.id}\n" in said
    assert f"set its NS records to {', '.join(first.zone.name_servers)}" in said


def test_a_private_zone_and_one_of_a_longer_name_are_not_taken_for_it(account):
    route53 = boto3.client("route53", region_name="us-east-1")
    route53.create_hosted_zone(Name="a.ml.example.org", CallerReference="1")
    route53.create_hosted_zone(
        Name="ml.example.org", CallerReference="2", HostedZoneConfig={"PrivateZone": True, "Comment": ""},
        VPC={"VPCRegion": "us-east-1", "VPCId": "vpc-1"},
    )  # fmt: skip
    assert states(run(account, zone="ml.example.org"))["zone ml.example.org"] == "created"


def test_two_public_zones_of_one_name_are_for_a_person_to_decide(account):
    for reference in ("1", "2"):
        boto3.client("route53", region_name="us-east-1").create_hosted_zone(
            Name="ml.example.org", CallerReference=reference
        )
    with pytest.raises(
        PlatformError, match=r"2 public zones are named ml\.example\.org (.|\n)*Done before that: state bucket"
    ):
        run(account, zone="ml.example.org")


def test_the_ids_are_told_where_they_belong(account):
    asked = {"state_bucket": "team-state", "permissions_boundary": f"arn:aws:iam::{ACCOUNT}:policy/bound"}
    result = run(account, **asked)
    data = as_data(options(**asked), result)
    assert data["stack_settings"]["Pulumi.prod.yaml"] == {
        "deploy_role_arn": f"arn:aws:iam::{ACCOUNT}:role/ml-platform-deploy-prod",
        "cluster": {"preview_role": f"arn:aws:iam::{ACCOUNT}:role/ml-platform-preview"},
        "permissions_boundary_arn": asked["permissions_boundary"],
    }
    assert data["github_variables"]["dev"] == {"DEPLOY_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/ml-platform-deploy-dev"}
    assert data["github_variables"][""] == {
        "AWS_REGION": "us-east-1",
        "DEPLOY_RUNNER": "ubuntu-24.04",
        "PREVIEW_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/ml-platform-preview",
        "PULUMI_BACKEND_URL": "s3://team-state?region=us-east-1",
    }
    said = next_steps(options(**asked), result)
    arn = data["github_variables"]["prod"]["DEPLOY_ROLE_ARN"]
    assert f"gh variable set DEPLOY_ROLE_ARN --repo team/platform --env prod --body {arn}" in said
    assert "--body 's3://team-state?region=us-east-1'" in said


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_printed_lines_merged_into_a_stack_file_are_settings_that_hold(account, environment):
    asked = {"permissions_boundary": f"arn:aws:iam::{ACCOUNT}:policy/bound"}
    printed = next_steps(options(**asked), run(account, **asked))
    [block] = re.findall(rf"^  Pulumi\.{environment}\.yaml\n((?:    .*\n)+)", printed, re.MULTILINE)
    committed = json.loads(PLATFORM.config(environment).values["ml-platform:settings"])
    merged = {"environment": environment, **committed}
    for key, value in yaml.safe_load(block).items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
    settings = PlatformSettings.model_validate(merged)
    assert settings.deploy_role_arn == f"arn:aws:iam::{ACCOUNT}:role/ml-platform-deploy-{environment}"
    assert settings.cluster.preview_role == f"arn:aws:iam::{ACCOUNT}:role/ml-platform-preview"
    assert settings.permissions_boundary_arn == asked["permissions_boundary"]


def test_who_is_without_a_boundary_or_ids_is_told_what_that_means(account):
    said = next_steps(options(), run(account))
    assert "Without --permissions-boundary" in said
    assert "gh api repos/team/platform" in said
    named = options(repository="team@1/platform@2", permissions_boundary=f"arn:aws:iam::{ACCOUNT}:policy/b")
    said = next_steps(named, run(account))
    assert "Without --permissions-boundary" not in said
    assert "gh api" not in said


def test_who_names_no_deployer_is_told_that_github_alone_deploys(account):
    assert "Without --deployer nobody but GitHub's jobs" in next_steps(options(), run(account))
    named = options(deployers=(f"arn:aws:iam::{ACCOUNT}:role/admin",))
    assert "Without --deployer" not in next_steps(named, run(account))


def test_aws_out_of_reach_and_other_refusals_are_one_message_each(account):
    unreachable = EndpointConnectionError(endpoint_url="https://iam.amazonaws.com/")
    other = refusal("LimitExceeded", "cannot exceed 1000 roles", "CreateRole")
    for error, said in ((unreachable, "AWS cannot be reached"), (other, "AWS refused iam:CreateRole: LimitExceeded")):
        account.iam.refused = ("create_role", "ml-platform-images", error)
        with pytest.raises(PlatformError, match=said):
            run(account)


def test_an_answer_that_is_no_absence_is_not_taken_for_one(account):
    error = refusal("AccessDenied", "User: me is not authorized", "GetRole")
    account.iam.refused = ("get_role", "ml-platform-images", error)
    with pytest.raises(PlatformError, match="you may not call iam:GetRole"):
        run(account)
    assert "ml-platform-images" not in [one["RoleName"] for one in account.iam.list_roles()["Roles"]]

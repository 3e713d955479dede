"""Where Pulumi's state lies: its bucket and its key."""

import json
import shlex

import pytest
from moto import mock_aws

from mlp.account.operation import bootstrap
from mlp.account.plan import COST_TAGS, GITHUB_ISSUER
from mlp.account.report import as_data, next_steps
from mlp.account.state import KEY_ALIAS
from mlp.shared.errors import PlatformError
from tests.iam_evaluator import allows, denies
from tests.mlp.account.builders import ACCOUNT, EMAIL, EmulatedAccount, Quiet, options, refusal

BUCKET = f"mlp-state-{ACCOUNT}-us-east-1"
GIVEN_KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1a2b"
DEPLOYER = f"arn:aws:iam::{ACCOUNT}:role/ml-platform-deploy-dev"


def run(account, *, dry_run=False, **more):
    return bootstrap(options(**more), account, Quiet(), dry_run=dry_run)


def outcomes(result):
    """The state and note of bucket and key, by which of the two."""
    return {
        one.thing.rpartition(" ")[0]: (one.state, one.note)
        for one in result.outcomes
        if "state b" in one.thing or "key" in one.thing
    }


def test_the_state_bucket_is_versioned_encrypted_private_and_forgets_old_states(account):
    assert run(account).state.bucket == BUCKET
    s3 = account.s3.client
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert set(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values()) == {True}
    [rule] = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}
    assert "Expiration" not in rule or "Days" not in rule["Expiration"], "the newest state never goes"


@pytest.mark.parametrize(
    ("action", "object_", "tls", "denied"),
    [
        ("s3:GetObject", "/.pulumi/meta.yaml", "false", True),
        ("s3:ListBucket", "", "false", True),
        ("s3:PutObject", "/.pulumi/stacks/ml-platform/dev.json", "false", True),
        ("s3:PutBucketPolicy", "", "false", True),
        ("s3:PutBucketPolicy", "", "true", False),
        ("s3:GetObject", "/.pulumi/meta.yaml", "true", False),
        ("s3:PutObject", "/.pulumi/stacks/ml-platform/dev.json", "true", False),
        ("s3:DeleteObject", "/.pulumi/locks/organization/ml-platform/dev/1.json", "true", False),
        ("s3:DeleteObjectVersion", "/.pulumi/stacks/ml-platform/dev.json", "true", True),
        ("s3:DeleteBucket", "", "true", True),
    ],
)
def test_states_are_written_over_tls_and_no_version_is_deleted_by_anyone(account, action, object_, tls, denied):
    run(account)
    policy = json.loads(account.s3.client.get_bucket_policy(Bucket=BUCKET)["Policy"])
    resource = f"arn:aws:s3:::{BUCKET}{object_}"
    assert denies(policy, action=action, resource=resource, context={"aws:SecureTransport": tls}) is denied


def test_the_secrets_key_rotates_and_no_deployer_ends_it(account):
    arn = run(account).state.secrets_key_arn
    kms = account.kms.client
    assert kms.describe_key(KeyId=KEY_ALIAS)["KeyMetadata"]["Arn"] == arn
    assert kms.get_key_rotation_status(KeyId=arn)["KeyRotationEnabled"]
    policy = json.loads(kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"])
    for who, denied in ((DEPLOYER, True), (f"arn:aws:iam::{ACCOUNT}:user/ada", False)):
        context = {"aws:PrincipalArn": who}
        assert denies(policy, action="kms:ScheduleKeyDeletion", resource="*", context=context) is denied
        assert not denies(policy, action="kms:Decrypt", resource="*", context=context)


def test_the_roles_use_the_bucket_and_key_that_were_made(account):
    state = run(account).state
    for role, writes in (("ml-platform-deploy-dev", True), ("ml-platform-preview", False)):
        [policy] = account.policies_of(role)
        assert allows([policy], action="kms:Decrypt", resource=state.secrets_key_arn)
        stack = f"arn:aws:s3:::{BUCKET}/.pulumi/stacks/ml-platform/dev.json"
        assert allows([policy], action="s3:GetObject", resource=stack)
        assert allows([policy], action="s3:PutObject", resource=stack) is writes


def test_a_second_run_changes_nothing(account):
    first = run(account)
    changes = list(account.changes)
    again = run(account)
    assert outcomes(again) == {"state bucket": ("kept", ""), "secrets key": ("kept", "")}
    assert account.changes == changes
    assert again.state == first.state


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("s3", "create_bucket"),
        ("s3", "put_bucket_tagging"),
        ("s3", "put_bucket_versioning"),
        ("s3", "put_bucket_policy"),
        ("kms", "create_key"),
        ("kms", "enable_key_rotation"),
        ("kms", "create_alias"),
    ],
)
def test_a_run_that_was_refused_half_way_is_gone_on_with(account, service, call):
    client = account(service)
    client.refused = (call, None, refusal("AccessDenied", "User: me is not authorized", call))
    with pytest.raises(PlatformError, match="running this again goes on from there"):
        run(account)
    client.refused = None
    run(account)
    changes = list(account.changes)
    assert {state for state, _ in outcomes(run(account)).values()} == {"kept"}
    assert account.changes == changes
    assert account.s3.client.get_bucket_policy(Bucket=BUCKET)
    assert len(account.kms.client.list_keys()["Keys"]) == 1


def test_what_was_changed_by_hand_is_put_right_and_said(account):
    arn = run(account).state.secrets_key_arn
    s3, kms = account.s3.client, account.kms.client
    s3.delete_bucket_policy(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    s3.delete_bucket_lifecycle(Bucket=BUCKET)
    kms.disable_key_rotation(KeyId=arn)
    said = outcomes(run(account))
    assert said["secrets key"] == ("updated", "rotation")
    state, note = said["state bucket"]
    assert state == "updated"
    for lacked in ("public access", "versioning", "replaced versions after 90 days", "lock"):
        assert lacked in note
    assert outcomes(run(account)) == {"state bucket": ("kept", ""), "secrets key": ("kept", "")}


def test_a_bucket_that_others_made_is_used_as_it_is_and_its_lacks_are_told(account):
    account.s3.client.create_bucket(Bucket="team-state")
    result = run(account, state_bucket="team-state")
    assert result.state.bucket == "team-state"
    state, note = outcomes(result)["state bucket"]
    assert state == "kept"
    assert "left as it is; it lacks the tag ManagedBy=mlp-bootstrap, " in note
    assert "versioning" in note
    assert account.s3.changes == []


def test_a_bucket_that_is_named_and_not_there_is_made(account):
    assert outcomes(run(account, state_bucket="team-state"))["state bucket"] == ("created", "")
    assert outcomes(run(account, state_bucket="team-state"))["state bucket"] == ("kept", "")


@pytest.mark.parametrize(
    ("call", "code"), [("head_bucket", "403"), ("create_bucket", "BucketAlreadyExists")], ids=["seen", "not seen"]
)
def test_a_bucket_of_another_account_is_refused_before_anything_else_is_made(account, call, code):
    account.s3.refused = (call, "team-state", refusal(code, "Forbidden", call))
    with pytest.raises(PlatformError, match=f"bucket team-state is not account {ACCOUNT}'s.*--state-bucket") as stopped:
        run(account, state_bucket="team-state")
    assert "Done before that: nothing" in str(stopped.value)
    assert account.changes == []


def test_a_given_key_is_used_and_none_is_made(account):
    assert run(account, secrets_key_arn=GIVEN_KEY).state.secrets_key_arn == GIVEN_KEY
    assert account.kms.client.list_keys()["Keys"] == []


def test_a_key_that_is_about_to_be_deleted_is_told(account):
    arn = run(account).state.secrets_key_arn
    account.kms.client.schedule_key_deletion(KeyId=arn.rpartition("/")[2])
    with pytest.raises(PlatformError, match="is PendingDeletion; make it Enabled again"):
        run(account)


def test_with_pulumi_cloud_there_is_neither_bucket_nor_key(account):
    result = run(account, pulumi_cloud=True)
    assert outcomes(result) == {}
    assert account.s3.client.list_buckets()["Buckets"] == []
    assert account.kms.client.list_keys()["Keys"] == []
    said = next_steps(options(pulumi_cloud=True), result)
    assert "PULUMI_BACKEND_URL" not in said
    assert "secrets-provider" not in said


def test_in_another_region_bucket_key_and_the_lines_to_run_are_of_that_region():
    with mock_aws():
        account = EmulatedAccount("eu-central-1")
        result = run(account, region="eu-central-1")
        assert (
            account.s3.client.head_bucket(Bucket=f"mlp-state-{ACCOUNT}-eu-central-1")["BucketRegion"] == "eu-central-1"
        )
        commands = next_steps(options(region="eu-central-1"), result)
        assert f"pulumi login 's3://mlp-state-{ACCOUNT}-eu-central-1?region=eu-central-1'" in commands
        assert "?region=eu-central-1'\n" in commands.partition("--secrets-provider")[2]


def test_the_lines_to_run_make_the_stacks_of_both_programs_with_the_key(account):
    result = run(account)
    key = result.state.secrets_key_arn.rpartition("/")[2]
    lines = [shlex.split(line) for line in next_steps(options(), result).splitlines() if line.startswith("  pulumi ")]
    assert lines[0] == ["pulumi", "login", f"s3://{BUCKET}?region=us-east-1"]
    secrets = ["--secrets-provider", f"awskms://{key}?region=us-east-1"]
    assert lines[1:] == [
        ["pulumi", "stack", "init", environment, *folder, *secrets]
        for environment in ("dev", "prod")
        for folder in ([], ["--cwd", "stacks/workloads"])
    ]


def contents(account):
    """All that the emulated account holds."""
    iam, s3, kms = account.iam.client, account.s3.client, account.kms.client
    names = [one["Name"] for one in s3.list_buckets()["Buckets"]]
    held = {
        "providers": iam.list_open_id_connect_providers()["OpenIDConnectProviderList"],
        "roles": [
            (one, [iam.get_role_policy(RoleName=one["RoleName"], PolicyName=name)["PolicyDocument"]
                   for name in iam.list_role_policies(RoleName=one["RoleName"])["PolicyNames"]])
            for one in iam.list_roles()["Roles"]
        ],
        "buckets": s3.list_buckets()["Buckets"],
        "versioning": [s3.get_bucket_versioning(Bucket=name).get("Status") for name in names],
        "keys": kms.list_keys()["Keys"],
        "aliases": kms.list_aliases()["Aliases"],
        "zones": account.route53.client.list_hosted_zones()["HostedZones"],
        "costs": (account.ce.monitors, account.ce.subscriptions, account.ce.tags),
    }  # fmt: skip
    return json.dumps(held, default=str, sort_keys=True)


ASKED = {"emails": (EMAIL,), "zone": "ml.example.org"}


def read_only(account, refused=True):
    for client in (account.iam, account.s3, account.kms, account.route53):
        client.read_only = refused


def test_a_dry_run_with_read_only_credentials_says_what_would_be_made_and_makes_nothing(account):
    account.ce.tags = dict.fromkeys(COST_TAGS, "Inactive")
    before = contents(account)
    read_only(account)
    result = run(account, dry_run=True, **ASKED)
    assert contents(account) == before
    data = as_data(options(**ASKED), result)
    assert data["dry_run"]
    assert {one["state"] for one in data["things"]} == {"would be created", "would be updated"}
    assert "github_variables" not in data
    assert next_steps(options(**ASKED), result).strip() == "This was a dry run: nothing was changed."


def changed_by_hand(account):
    """Something of every kind that a run puts right."""
    iam, s3, kms = account.iam.client, account.s3.client, account.kms.client
    s3.delete_bucket_policy(Bucket=BUCKET)
    kms.disable_key_rotation(KeyId=kms.describe_key(KeyId=KEY_ALIAS)["KeyMetadata"]["Arn"])
    [provider] = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider["Arn"])
    iam.create_open_id_connect_provider(Url=f"https://{GITHUB_ISSUER}", ClientIDList=["another"])
    iam.delete_role_policy(RoleName="ml-platform-preview", PolicyName="access")
    iam.update_role(RoleName="ml-platform-images", Description="mine", MaxSessionDuration=43200)
    iam.update_assume_role_policy(RoleName="ml-platform-deploy-dev", PolicyDocument=json.dumps(EC2))


EC2 = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def test_a_dry_run_names_what_the_next_run_does(account):
    account.ce.tags = dict.fromkeys(COST_TAGS, "Inactive")
    run(account, emails=(EMAIL,), anomaly_usd=10)
    changed_by_hand(account)
    before = contents(account)
    read_only(account)
    asked = {**ASKED, "permissions_boundary": f"arn:aws:iam::{ACCOUNT}:policy/bound"}
    announced = run(account, dry_run=True, **asked)
    assert contents(account) == before
    read_only(account, False)
    done = run(account, **asked)
    assert [(one.thing, one.state, one.note) for one in announced.outcomes] == [
        (one.thing, one.state, one.note) for one in done.outcomes
    ]
    assert {one.state for one in done.outcomes} == {"created", "updated", "kept"}


def test_a_dry_run_that_is_refused_says_that_nothing_was_changed(account):
    account.iam.refused = ("get_role", None, refusal("AccessDenied", "User: me is not authorized", "GetRole"))
    with pytest.raises(PlatformError, match=r"you may not call iam:GetRole(.|\n)*Nothing was changed"):
        run(account, dry_run=True)

"""Storage of Pulumi's state: a locked bucket, and the key that encrypts the secrets in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infra.identity.iam import ANYONE, Condition, ResourceStatement, plain_resource_policy
from infra.naming import PROJECT, deploy_role_name
from mlp.account.identity import same_document
from mlp.account.plan import OWN_TAGS, Account, Outcome, OutcomeState
from mlp.shared.aws_session import Change
from mlp.shared.errors import PlatformError

NONCURRENT_DAYS = 90
"""Days for which a state that was overwritten or deleted can be restored."""
KEY_ALIAS = f"alias/{PROJECT}-pulumi"
_KEY_DESCRIPTION = f"Secrets in Pulumi's state of {PROJECT}"
_KEY_TAGS = [{"TagKey": key, "TagValue": value} for key, value in OWN_TAGS.items()]
_TAG_SET = [{"Key": key, "Value": value} for key, value in OWN_TAGS.items()]
_PRIVATE = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
_LIFECYCLE = {
    "ID": "replaced-states",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "NoncurrentVersionExpiration": {"NoncurrentDays": NONCURRENT_DAYS},
    # Pulumi's lock files leave a delete marker each.
    "Expiration": {"ExpiredObjectDeleteMarker": True},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
}


@dataclass(frozen=True, kw_only=True)
class StateBucket:
    """A bucket for Pulumi's state, and the region that it lies in."""

    region: str
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class _Setting:
    """A setting of a bucket: whether it holds, and the call that makes it hold."""

    name: str
    holds: Callable[[], bool]
    put: Callable[..., Any]
    arguments: Mapping[str, Any]


def ensure_state_bucket(s3: Any, given: str | None, account: Account, change: Change) -> StateBucket:
    """Ensure the bucket `given`, or one named for account and region: versioned, encrypted, private and locked.

    One that others made is left as it is, and the outcome's note says what it lacks. Raises PlatformError for a bucket
    that is not this account's.
    """
    name = given or account.default_state_bucket
    thing, settings = f"state bucket {name}", _settings(s3, name, account)
    region = _region(s3, name, account)
    if region is None:
        _create(s3, name, account, change)
        for one in settings:
            change(one.put, Bucket=name, **one.arguments)
        return StateBucket(region=account.region, outcome=Outcome(thing=thing, id=name, state="created"))
    lacking = [one for one in settings if not one.holds()]
    lacks = ", ".join(one.name for one in lacking)
    # One that was named may be anybody's: it is this command's own if it bears its tags, which come first.
    foreign = given is not None and settings[0] in lacking
    if foreign:
        note = f"not made by this command and left as it is; it lacks {lacks}"
        return StateBucket(region=region, outcome=Outcome(thing=thing, id=name, state="kept", note=note))
    for one in lacking:
        change(one.put, Bucket=name, **one.arguments)
    state: OutcomeState = "updated" if lacking else "kept"
    return StateBucket(region=region, outcome=Outcome(thing=thing, id=name, state=state, note=lacks))


def ensure_secrets_key(kms: Any, account: Account, change: Change) -> Outcome:
    """Ensure the key behind `KEY_ALIAS`, rotated once a year and safe from the roles that deploy; its id is its ARN.

    A key that an interrupted run made and gave no alias yet is gone on with. One that is only to be made has an ARN
    without a key's id. Raises PlatformError for a key that is switched off or about to be deleted.
    """
    thing = f"secrets key {KEY_ALIAS}"
    found = _answer_or_empty(kms.describe_key, KeyId=KEY_ALIAS).get("KeyMetadata")
    if found:
        if found["KeyState"] != "Enabled":
            raise PlatformError(
                f"the key {found['Arn']} behind {KEY_ALIAS} is {found['KeyState']}; make it Enabled again "
                "(aws kms cancel-key-deletion, aws kms enable-key), or name another by --secrets-key"
            )
        changed = _update_key(kms, found["Arn"], account, change)
        state: OutcomeState = "updated" if changed else "kept"
        return Outcome(thing=thing, id=found["Arn"], state=state, note=", ".join(changed))
    arn = _key_without_alias(kms)
    if arn is None:
        policy = _key_policy(account)
        made = change(kms.create_key, Description=_KEY_DESCRIPTION, Policy=policy, Tags=_KEY_TAGS)
        arn = made["KeyMetadata"]["Arn"] if made else account.arn("kms", "key/<new>")
        change(kms.enable_key_rotation, KeyId=arn)
    else:
        _update_key(kms, arn, account, change)
    change(kms.create_alias, AliasName=KEY_ALIAS, TargetKeyId=arn)
    return Outcome(thing=thing, id=arn, state="created")


def _region(s3: Any, name: str, account: Account) -> str | None:
    """Return the bucket's region; None when there is no bucket of this name."""
    try:
        answer = s3.head_bucket(Bucket=name, ExpectedBucketOwner=account.id)
    except ClientError as error:
        # A HEAD has no body, so the code is the status.
        if error.response["Error"]["Code"] == "404":
            return None
        if error.response["Error"]["Code"] == "403":
            raise _foreign(name, account) from error
        raise
    return str(answer["BucketRegion"])


def _create(s3: Any, name: str, account: Account, change: Change) -> None:
    # The oldest region is the one that may not be named.
    place = {"CreateBucketConfiguration": {"LocationConstraint": account.region}}
    try:
        change(s3.create_bucket, Bucket=name, **(place if account.region != "us-east-1" else {}))
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketAlreadyExists":
            raise
        raise _foreign(name, account) from error


def _foreign(name: str, account: Account) -> PlatformError:
    return PlatformError(
        f"the bucket {name} is not account {account.id}'s, or you may not look at it (s3:ListBucket); "
        "name another by --state-bucket, or have that permission granted"
    )


def _settings(s3: Any, name: str, account: Account) -> tuple[_Setting, ...]:
    """Return the settings that the bucket is to have. The tags, which tell whose it is, come first."""
    policy = _bucket_policy(name, account)

    def asked(ask: Callable[..., Any], key: str) -> Any:
        return _answer_or_empty(ask, Bucket=name).get(key)

    def lifecycle() -> bool:
        rules = asked(s3.get_bucket_lifecycle_configuration, "Rules") or []
        return any(all(rule.get(key) == value for key, value in _LIFECYCLE.items()) for rule in rules)

    return (
        _Setting(
            name=f"the tag ManagedBy={OWN_TAGS['ManagedBy']}",
            holds=lambda: all(tag in (asked(s3.get_bucket_tagging, "TagSet") or []) for tag in _TAG_SET),
            put=s3.put_bucket_tagging,
            arguments={"Tagging": {"TagSet": _TAG_SET}},
        ),
        _Setting(
            name="a block of public access",
            holds=lambda: asked(s3.get_public_access_block, "PublicAccessBlockConfiguration") == _PRIVATE,
            put=s3.put_public_access_block,
            arguments={"PublicAccessBlockConfiguration": _PRIVATE},
        ),
        _Setting(
            name="versioning",
            holds=lambda: asked(s3.get_bucket_versioning, "Status") == "Enabled",
            put=s3.put_bucket_versioning,
            arguments={"VersioningConfiguration": {"Status": "Enabled"}},
        ),
        _Setting(
            # S3's own key: with the secrets key, every reader of a state would need that too. Secrets are encrypted
            # with it inside the state.
            name="encryption",
            holds=lambda: bool(asked(s3.get_bucket_encryption, "ServerSideEncryptionConfiguration")),
            put=s3.put_bucket_encryption,
            arguments={
                "ServerSideEncryptionConfiguration": {
                    "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
                }
            },
        ),
        _Setting(
            name=f"an end of replaced versions after {NONCURRENT_DAYS} days",
            holds=lifecycle,
            put=s3.put_bucket_lifecycle_configuration,
            arguments={"LifecycleConfiguration": {"Rules": [_LIFECYCLE]}},
        ),
        _Setting(
            name="the lock (its policy)",
            holds=lambda: same_document(asked(s3.get_bucket_policy, "Policy"), policy),
            put=s3.put_bucket_policy,
            arguments={"Policy": policy},
        ),
    )


def _bucket_policy(name: str, account: Account) -> str:
    """Return a policy that refuses plain connections and, until it is lifted, deletion of a version or the bucket."""
    bucket = f"arn:{account.partition}:s3:::{name}"
    plain = Condition(operator="Bool", key="aws:SecureTransport", values=("false",))
    return plain_resource_policy(
        (
            ResourceStatement(
                effect="Deny",
                principal=ANYONE,
                actions=("s3:*",),
                resources=(bucket, f"{bucket}/*"),
                conditions=(plain,),
            ),
            ResourceStatement(
                effect="Deny",
                principal=ANYONE,
                actions=("s3:DeleteBucket", "s3:DeleteObjectVersion"),
                resources=(bucket, f"{bucket}/*"),
            ),
        )
    )


def _key_policy(account: Account) -> str:
    """Return a policy by which the account's IAM policies decide, but no deploy role may delete or open the key."""
    deployers = account.iam_arn(f"role/{deploy_role_name('*')}")
    return plain_resource_policy(
        (
            ResourceStatement(principal={"AWS": account.iam_arn("root")}, actions=("kms:*",), resources=("*",)),
            ResourceStatement(
                effect="Deny",
                principal=ANYONE,
                actions=("kms:DisableKey", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion"),
                resources=("*",),
                conditions=(Condition(operator="ArnLike", key="aws:PrincipalArn", values=(deployers,)),),
            ),
        )
    )


def _update_key(kms: Any, arn: str, account: Account, change: Change) -> list[str]:
    """Update the key to what it should be; return what had to be changed."""
    changed = []
    policy = _key_policy(account)
    if not same_document(kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"], policy):
        change(kms.put_key_policy, KeyId=arn, PolicyName="default", Policy=policy)
        changed.append("policy")
    if not kms.get_key_rotation_status(KeyId=arn)["KeyRotationEnabled"]:
        change(kms.enable_key_rotation, KeyId=arn)
        changed.append("rotation")
    return changed


def _key_without_alias(kms: Any) -> str | None:
    """Return the ARN of a key from a run that ended before naming it; None without one."""
    for page in kms.get_paginator("list_keys").paginate():
        for key in page["Keys"]:
            found = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
            if found["Description"] == _KEY_DESCRIPTION and found["KeyState"] == "Enabled":
                return str(found["Arn"])
    return None


def _answer_or_empty(ask: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """Return what AWS answers; an empty answer when there is no such thing."""
    try:
        return dict(ask(**arguments))
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code.startswith("NoSuch") or code.endswith(("NotFoundError", "NotFoundException")):
            return {}
        raise

"""Buckets: closed, versioned, encrypted, and emptied by age."""

import json

import pulumi
import pytest

from infra.data.storage import Archive, ObjectStore, ObjectStoreArgs
from infra.identity.iam import policy_document
from tests.builders import deploy, inputs_of, wanted
from tests.iam_evaluator import allows, denies
from tests.infra.builders import environment

IR = Archive(after_days=90, storage_class="GLACIER_IR")


def deploy_store(*, deletable=False, **changes):
    args = ObjectStoreArgs(environment=environment(deletable=deletable), noncurrent_days=30, **changes)
    return deploy(lambda: ObjectStore("store", args))


def only(deployment, type_):
    [inputs] = inputs_of(deployment, type_).values()
    return inputs


def lifecycle(**changes):
    rules = only(deploy_store(**changes), "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")["rules"]
    return {rule["id"]: rule for rule in rules}


def test_a_bucket_is_closed_versioned_encrypted_and_owned_by_its_account():
    store = deploy_store()
    block = only(store, "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    flags = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert all(block[flag] is True for flag in flags)
    versions = only(store, "aws:s3/bucketVersioning:BucketVersioning")
    assert versions["versioningConfiguration"] == {"status": "Enabled"}
    type_ = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    [rule] = only(store, type_)["rules"]
    assert rule == {
        "applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"},
        "bucketKeyEnabled": True,
    }
    ownership = only(store, "aws:s3/bucketOwnershipControls:BucketOwnershipControls")
    assert ownership["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    assert only(store, "aws:s3/bucketNotification:BucketNotification")["eventbridge"] is True


@pytest.mark.parametrize("deletable", [True, False])
def test_a_bucket_that_may_not_be_deleted_is_protected(deletable):
    [bucket] = wanted(deploy_store(deletable=deletable), "aws:s3/bucket:Bucket").values()
    assert bucket.protect is not deletable
    assert bucket.inputs["forceDestroy"] is deletable


def test_replaced_versions_and_broken_uploads_go_away_in_every_bucket():
    rules = lifecycle()
    assert list(rules) == ["replaced-versions"]
    assert rules["replaced-versions"]["noncurrentVersionExpiration"] == {"noncurrentDays": 30}
    assert rules["replaced-versions"]["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}


def test_objects_are_archived_and_expire_by_age():
    rules = lifecycle(archive=IR, expire_after_days=400)
    assert rules["archive"]["transitions"] == [{"days": 90, "storageClass": "GLACIER_IR"}]
    assert rules["end"]["expiration"] == {"days": 400}


def test_what_expires_before_it_would_be_archived_is_not_archived():
    assert "archive" not in lifecycle(archive=IR, expire_after_days=90)


def test_a_store_that_keeps_versions_for_no_day_is_refused():
    with pytest.raises(pulumi.RunError, match="noncurrent_days is 0; ObjectStore keeps a version at least 1 day"):
        ObjectStoreArgs(environment=environment(), noncurrent_days=0)


def bucket_and_policy(deployment):
    [bucket] = deployment.of_type("aws:s3/bucket:Bucket")
    return bucket.created.outputs["arn"], json.loads(only(deployment, "aws:s3/bucketPolicy:BucketPolicy")["policy"])


@pytest.mark.parametrize("takes_logs", [False, True], ids=["own", "logs"])
@pytest.mark.parametrize(("over_tls", "denied"), [("false", True), ("true", False)])
def test_plain_http_is_denied_to_everyone_whatever_is_asked_for(over_tls, denied, takes_logs):
    arn, policy = bucket_and_policy(deploy_store(takes_logs=takes_logs))
    context = {"aws:SecureTransport": over_tls}
    of_objects = ("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:PutObjectAcl", "s3:DeleteObject")
    of_buckets = ("s3:ListBucket", "s3:DeleteBucket", "s3:PutBucketPolicy", "s3:GetBucketAcl", "s3:PutBucketVersioning")
    for actions, resource in ((of_objects, f"{arn}/a"), (of_objects, f"{arn}/a/b"), (of_buckets, arn)):
        for action in actions:
            assert denies(policy, action=action, resource=resource, context=context) is denied, action


@pytest.mark.parametrize(
    ("key", "context", "denied"),
    [
        ("registry/m/00000001.json", {}, True),
        ("registry/m/00000001.json", {"s3:if-none-match": "*"}, False),
        ("mlflow/registry/1", {}, False),
    ],
    ids=["overwrites", "is new", "elsewhere"],
)
def test_what_is_written_once_is_overwritten_by_nobody(key, context, denied):
    arn, policy = bucket_and_policy(deploy_store(written_once="registry/"))
    context = {"aws:SecureTransport": "true", **context}
    assert denies(policy, action="s3:PutObject", resource=f"{arn}/{key}", context=context) is denied
    assert not denies(policy, action="s3:GetObject", resource=f"{arn}/{key}", context=context)


@pytest.mark.parametrize("more", [{}, {"takes_logs": True}, {"written_once": "registry/"}], ids=["own", "logs", "once"])
def test_an_emulator_has_no_tls_to_ask_for_and_judges_no_condition(more):
    args = ObjectStoreArgs(environment=environment(emulated=True), noncurrent_days=30, **more)
    deployment = deploy(lambda: ObjectStore("store", args))
    assert wanted(deployment, "aws:s3/bucketPolicy:BucketPolicy") == {}
    assert len(wanted(deployment, "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")) == 1


@pytest.mark.parametrize(
    ("account", "path", "allowed"),
    [
        ("123456789012", "AWSLogs/123456789012/a", True),
        ("999", "AWSLogs/123456789012/a", False),
        ("123456789012", "elsewhere/a", False),
    ],
)
def test_flow_logs_of_the_own_account_alone_are_delivered(account, path, allowed):
    store = deploy_store(takes_logs=True)
    arn, policy = bucket_and_policy(store)
    context = {
        "aws:SourceAccount": account,
        "s3:x-amz-acl": "bucket-owner-full-control",
        "aws:SecureTransport": "true",
    }
    assert allows([policy], action="s3:PutObject", resource=f"{arn}/{path}", context=context) is allowed
    type_ = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    [rule] = only(store, type_)["rules"]
    assert rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"] == "AES256"


def granted(offer):
    """The policy made of what `offer` gives for a store, and the ARN of its bucket."""

    def declare():
        store = ObjectStore("store", ObjectStoreArgs(environment=environment(), noncurrent_days=1))
        pulumi.export("policy", policy_document(offer(store)))
        pulumi.export("arn", store.bucket_arn)

    outputs = deploy(declare).outputs
    return json.loads(outputs["policy"]), outputs["arn"]


WRITER = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"}


@pytest.mark.parametrize(
    ("offer", "may"),
    [(lambda store: store.read_access("runs/"), {"s3:GetObject"}), (lambda store: store.write_access("runs/"), WRITER)],
    ids=["read", "write"],
)
def test_a_grant_reaches_below_its_prefix_and_nowhere_else(offer, may):
    policy, arn = granted(offer)
    for action in WRITER | {"s3:DeleteObjectVersion", "s3:PutBucketPolicy", "s3:DeleteBucket"}:
        assert allows([policy], action=action, resource=f"{arn}/runs/1") is (action in may)
        assert not allows([policy], action=action, resource=f"{arn}/other/1")
        assert not allows([policy], action=action, resource=arn)
    for prefix, listed in (("runs/1", True), ("runs", True), ("other/", False), ("", False)):
        context = {"s3:prefix": prefix}
        assert allows([policy], action="s3:ListBucket", resource=arn, context=context) is listed
    assert not allows([policy], action="s3:ListBucket", resource=arn)

"""The buckets and image repositories of an applied stack, asked through boto3."""

from __future__ import annotations

import json
from typing import Any

import pytest
from moto.s3.models import s3_backends

from mlp.engine.cloud import ACCOUNT
from tests.iam_evaluator import allows, denies
from tests.mlp.engine.clouds.applied import Applied

BUCKETS = ("artifact_bucket", "dataset_bucket", "log_bucket")

REPLACED = {
    "ID": "replaced-versions",
    "Status": "Enabled",
    "Filter": {},
    "Expiration": {"ExpiredObjectDeleteMarker": True},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
}


def archived(days: int, storage_class: str) -> dict[str, Any]:
    move = {"Days": days, "StorageClass": storage_class}
    return {"ID": "archive", "Status": "Enabled", "Filter": {}, "Transitions": [move]}


def ended(days: int) -> dict[str, Any]:
    return {"ID": "end", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": days}}


# Development deletes logs before they would be archived.
RETENTION = {
    "dev": {
        "artifact_bucket": [archived(90, "GLACIER_IR")],
        "dataset_bucket": [],
        "log_bucket": [ended(30)],
    },
    "prod": {
        "artifact_bucket": [archived(90, "GLACIER_IR")],
        "dataset_bucket": [],
        "log_bucket": [archived(90, "DEEP_ARCHIVE"), ended(400)],
    },
}
NONCURRENT_DAYS = {"dev": 7, "prod": 90}


@pytest.fixture(params=BUCKETS)
def kind(request: pytest.FixtureRequest) -> str:
    """A bucket by the stack's output that names it."""
    return str(request.param)


@pytest.fixture
def bucket(applied: Applied, kind: str) -> str:
    return str(applied.outputs[kind])


def policy_of(applied: Applied, bucket: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(applied.client("s3").get_bucket_policy(Bucket=bucket)["Policy"])
    return document


def test_there_are_three_buckets_and_no_other(applied: Applied) -> None:
    names = [bucket["Name"] for bucket in applied.client("s3").list_buckets()["Buckets"]]

    assert sorted(names) == sorted(applied.outputs[kind] for kind in BUCKETS)
    assert len(set(names)) == 3
    # The deploy role reaches those alone whose names begin so.
    assert all(name.startswith(f"ml-platform-{applied.stack}-") for name in names)


def test_a_bucket_keeps_versions(applied: Applied, bucket: str) -> None:
    assert applied.client("s3").get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"


def test_a_bucket_is_closed_to_the_public(applied: Applied, bucket: str) -> None:
    assert applied.client("s3").get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }


def test_what_lies_in_a_bucket_belongs_to_its_owner(applied: Applied, bucket: str) -> None:
    controls = applied.client("s3").get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]

    assert controls["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def test_a_bucket_is_encrypted_with_a_key_of_its_own(applied: Applied, bucket: str, kind: str) -> None:
    [rule] = applied.client("s3").get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]

    # AWS delivers flow logs to no bucket that is encrypted with its own key in KMS.
    algorithm = "AES256" if kind == "log_bucket" else "aws:kms"
    assert rule == {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm},
        "BucketKeyEnabled": True,
    }


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"])
def test_a_bucket_is_spoken_to_over_tls_alone(applied: Applied, bucket: str, action: str) -> None:
    policy, arn = policy_of(applied, bucket), f"arn:aws:s3:::{bucket}"
    for resource in (arn, f"{arn}/a/b"):
        assert denies(policy, action=action, resource=resource, context={"aws:SecureTransport": "false"})
        assert not denies(policy, action=action, resource=resource, context={"aws:SecureTransport": "true"})


def test_a_recorded_move_of_an_alias_is_overwritten_by_nobody(applied: Applied) -> None:
    bucket = applied.outputs["artifact_bucket"]
    asked: dict[str, str] = {"action": "s3:PutObject", "resource": f"arn:aws:s3:::{bucket}/registry/m/00000001.json"}
    over_tls = {"aws:SecureTransport": "true"}
    assert denies(policy_of(applied, bucket), **asked, context=over_tls)
    assert not denies(policy_of(applied, bucket), **asked, context={**over_tls, "s3:if-none-match": "*"})


def test_objects_are_kept_archived_and_deleted_as_the_environment_asks(
    applied: Applied, bucket: str, kind: str
) -> None:
    rules = applied.client("s3").get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]

    replaced = {**REPLACED, "NoncurrentVersionExpiration": {"NoncurrentDays": NONCURRENT_DAYS[applied.stack]}}
    assert rules == [replaced, *RETENTION[applied.stack][kind]]


def test_a_registered_model_stays_readable_at_once(applied: Applied) -> None:
    for kind in ("artifact_bucket", "dataset_bucket"):
        rules = applied.client("s3").get_bucket_lifecycle_configuration(Bucket=applied.outputs[kind])["Rules"]
        classes = {move["StorageClass"] for rule in rules for move in rule.get("Transitions", [])}
        assert classes <= {"GLACIER_IR"}
        assert not any("Days" in rule.get("Expiration", {}) for rule in rules)


def test_what_happens_in_a_bucket_is_reported_to_eventbridge(bucket: str) -> None:
    # S3 answers this; the emulator keeps it and leaves it out of its answer.
    kept = s3_backends[ACCOUNT]["aws"].buckets[bucket].notification_configuration

    assert kept is not None
    assert kept.event_bridge == {}


def test_the_log_bucket_alone_takes_what_aws_writes_and_for_this_account_alone(applied: Applied) -> None:
    written_by = {
        kind: [
            one["Principal"]
            for one in policy_of(applied, applied.outputs[kind])["Statement"]
            if one["Effect"] == "Allow"
        ]
        for kind in BUCKETS
    }
    assert {kind for kind, principals in written_by.items() if principals} == {"log_bucket"}
    assert all(one == {"Service": "delivery.logs.amazonaws.com"} for one in written_by["log_bucket"])

    bucket = f"arn:aws:s3:::{applied.outputs['log_bucket']}"
    policy = policy_of(applied, applied.outputs["log_bucket"])
    for account, folder, accepted in (
        (ACCOUNT, f"AWSLogs/{ACCOUNT}", True),
        (ACCOUNT, "AWSLogs/999999999999", False),
        (ACCOUNT, "airflow", False),
        ("999999999999", f"AWSLogs/{ACCOUNT}", False),
    ):
        context = {
            "aws:SourceAccount": account,
            "s3:x-amz-acl": "bucket-owner-full-control",
            "aws:SecureTransport": "true",
        }
        resource = f"{bucket}/{folder}/vpcflowlogs/1.parquet"
        assert allows([policy], action="s3:PutObject", resource=resource, context=context) is accepted
        assert not allows([policy], action="s3:GetObject", resource=resource, context=context)


def test_image_repositories_keep_tags_in_place_scan_pushes_and_expire_images(applied: Applied) -> None:
    ecr = applied.client("ecr")
    repositories = ecr.describe_repositories()["repositories"]

    assert {one["repositoryUri"] for one in repositories} == set(applied.outputs["repository_urls"].values())
    for repository in repositories:
        assert repository["repositoryName"].startswith(f"ml-platform/{applied.stack}/")
        assert repository["imageScanningConfiguration"]["scanOnPush"] is True
        assert repository["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
        assert repository["imageTagMutabilityExclusionFilters"] == [{"filterType": "WILDCARD", "filter": "cache*"}]
        assert repository["encryptionConfiguration"]["encryptionType"] == "KMS"


def test_images_expire_when_untagged_or_many(applied: Applied) -> None:
    ecr = applied.client("ecr")
    for url in applied.outputs["repository_urls"].values():
        name = url.partition("/")[2]
        rules = json.loads(ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"])["rules"]
        assert [(rule["selection"]["tagStatus"], rule["selection"]["countNumber"]) for rule in rules] == [
            ("untagged", 7),
            ("any", 50),
        ]
        assert all(rule["action"] == {"type": "expire"} for rule in rules)

"""S3: buckets, and their versioning, encryption and lifecycle configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlp.engine.cloud import Created, Place, Registration, prefixed_name
from mlp.engine.types.aws import AT_ONCE, forced_by_aws
from mlp.engine.types.facts import AwsType, Duration, Inputs, PriceRule
from mlp.engine.types.recorders import named_by
from mlp.engine.types.request import Fields, Nested, Request, pascal

_RULES_OF_BUCKETS = "a bucket's rules are free; what lies in it is not"
_OF_A_BUCKET = "bucket expectedBucketOwner"
_OLDEST_REGION = "us-east-1"
"""Region whose name S3 refuses as a location constraint."""
_LIFECYCLE_RULE: Fields = {
    **pascal("status"),
    "id": "ID",
    "filter": Nested("Filter", pascal("prefix", "objectSizeGreaterThan", "objectSizeLessThan")),
    "expiration": Nested("Expiration", pascal("days", "date", "expiredObjectDeleteMarker")),
    "transitions": Nested("Transitions", pascal("days", "date", "storageClass")),
    "noncurrentVersionExpiration": Nested(
        "NoncurrentVersionExpiration", pascal("noncurrentDays", "newerNoncurrentVersions")
    ),
    "abortIncompleteMultipartUpload": Nested("AbortIncompleteMultipartUpload", pascal("daysAfterInitiation")),
}
_ENCRYPTION_RULE: Fields = {
    "bucketKeyEnabled": "BucketKeyEnabled",
    "applyServerSideEncryptionByDefault": Nested(
        "ApplyServerSideEncryptionByDefault", {"sseAlgorithm": "SSEAlgorithm", "kmsMasterKeyId": "KMSMasterKeyID"}
    ),
}


def _record_bucket(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("bucket") or prefixed_name(wanted, inputs)
    return Created(
        id=name,
        outputs={
            "bucket": name,
            "arn": place.arn("s3", name, region="", account=""),
            "bucketDomainName": f"{name}.s3.amazonaws.com",
            "region": place.region,
        },
    )


def _make_bucket(request: Request) -> Created:
    request.not_held_by_aws("forceDestroy")
    prefix = request.take("bucketPrefix")
    name = request.take("bucket") or prefixed_name(request.wanted, {"bucketPrefix": prefix})
    tags = request.tag_list()
    request.arguments({})
    s3, region = request.client("s3"), request.place.region
    location: dict[str, Any] = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, **({} if region == _OLDEST_REGION else location))
    if tags:
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    return Created(
        id=name,
        outputs={
            "bucket": name,
            # S3 describes a bucket by its name alone; Pulumi's provider puts the rest together in this way, too.
            "arn": request.place.arn("s3", name, region="", account=""),
            "bucketDomainName": f"{name}.s3.amazonaws.com",
            "region": s3.head_bucket(Bucket=name)["BucketRegion"],
        },
    )


def _make_versioning(request: Request) -> Created:
    fields = {"versioningConfiguration": Nested("VersioningConfiguration", pascal("status"))}
    return _configured(request, "put_bucket_versioning", request.arguments({"bucket": "Bucket", **fields}))


def _make_encryption(request: Request) -> Created:
    arguments = request.arguments({"bucket": "Bucket", "rules": Nested("Rules", _ENCRYPTION_RULE)})
    rules = {"Rules": arguments.pop("Rules")}
    return _configured(request, "put_bucket_encryption", {**arguments, "ServerSideEncryptionConfiguration": rules})


def _make_lifecycle(request: Request) -> Created:
    arguments = request.arguments({"bucket": "Bucket", "rules": Nested("Rules", _LIFECYCLE_RULE)})
    rules = {"Rules": arguments.pop("Rules")}
    return _configured(request, "put_bucket_lifecycle_configuration", {**arguments, "LifecycleConfiguration": rules})


def _make_public_access_block(request: Request) -> Created:
    switches = pascal("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    block = request.arguments({"bucket": "Bucket", **switches})
    bucket = block.pop("Bucket")
    return _configured(request, "put_public_access_block", {"Bucket": bucket, "PublicAccessBlockConfiguration": block})


def _make_ownership(request: Request) -> Created:
    arguments = request.arguments({"bucket": "Bucket", "rule": Nested("Rule", pascal("objectOwnership"))})
    controls = {"Rules": [arguments.pop("Rule")]}
    return _configured(request, "put_bucket_ownership_controls", {**arguments, "OwnershipControls": controls})


def _make_policy(request: Request) -> Created:
    """Put the bucket's policy.

    The emulator treats every condition of a Deny as met, so it refuses all objects of a bucket that requires TLS. It is
    called without TLS, so that this is even right.
    """
    return _configured(request, "put_bucket_policy", request.arguments(pascal("bucket", "policy")))


def _make_notification(request: Request) -> Created:
    to_eventbridge = request.take("eventbridge", False)
    configuration: dict[str, Any] = {"EventBridgeConfiguration": {}} if to_eventbridge else {}
    arguments = {**request.arguments(pascal("bucket")), "NotificationConfiguration": configuration}
    return _configured(request, "put_bucket_notification_configuration", arguments)


def _configured(request: Request, operation: str, arguments: dict[str, Any]) -> Created:
    """Put one part of a bucket's configuration; its id is the bucket's name."""
    getattr(request.client("s3"), operation)(**arguments)
    return Created(id=arguments["Bucket"])


TYPES: Mapping[str, AwsType] = {
    "aws:s3/bucket:Bucket": AwsType(
        replaced_by=forced_by_aws("s3/bucket", "bucket bucketNamespace bucketPrefix objectLockEnabled"),
        recorder=_record_bucket,
        emulator=_make_bucket,
        takes=Duration(4),
        precious="a bucket with its objects",
        price=PriceRule.BUCKET,
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": AwsType(
        replaced_by=forced_by_aws("s3/bucket_lifecycle_configuration", _OF_A_BUCKET),
        recorder=named_by("bucket"),
        emulator=_make_lifecycle,
        takes=AT_ONCE,
        precious=None,
        price=_RULES_OF_BUCKETS,
    ),
    "aws:s3/bucketNotification:BucketNotification": AwsType(
        replaced_by=forced_by_aws("s3/bucket_notification", "bucket"),
        recorder=named_by("bucket"),
        emulator=_make_notification,
        takes=AT_ONCE,
        precious=None,
        price=_RULES_OF_BUCKETS,
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": AwsType(
        replaced_by=forced_by_aws("s3/bucket_ownership_controls", "bucket"),
        recorder=named_by("bucket"),
        emulator=_make_ownership,
        takes=AT_ONCE,
        precious=None,
        price=_RULES_OF_BUCKETS,
    ),
    "aws:s3/bucketPolicy:BucketPolicy": AwsType(
        replaced_by=forced_by_aws("s3/bucket_policy", "bucket"),
        recorder=named_by("bucket"),
        emulator=_make_policy,
        takes=AT_ONCE,
        precious=None,
        price=_RULES_OF_BUCKETS,
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": AwsType(
        replaced_by=forced_by_aws("s3/bucket_public_access_block", "bucket"),
        recorder=named_by("bucket"),
        emulator=_make_public_access_block,
        takes=AT_ONCE,
        precious=None,
        price=_RULES_OF_BUCKETS,
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": AwsType(
        replaced_by=forced_by_aws("s3/bucket_server_side_encryption_configuration", _OF_A_BUCKET),
        recorder=named_by("bucket"),
        emulator=_make_encryption,
        takes=AT_ONCE,
        precious=None,
        price=_RULES_OF_BUCKETS,
    ),
    "aws:s3/bucketVersioning:BucketVersioning": AwsType(
        replaced_by=forced_by_aws("s3/bucket_versioning", _OF_A_BUCKET),
        recorder=named_by("bucket"),
        emulator=_make_versioning,
        takes=AT_ONCE,
        precious=None,
        price=_RULES_OF_BUCKETS,
    ),
}

"""S3: buckets and how they keep, encrypt and expire what they hold."""

from __future__ import annotations

from typing import Any

from mlp.engine.cloud import Created, prefixed_name
from mlp.engine.clouds.moto.request import Fields, Handler, Nested, Request, pascal

_OLDEST_REGION = "us-east-1"
"""The region whose name S3 refuses as a location."""
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


def _bucket(request: Request) -> Created:
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


def _versioning(request: Request) -> Created:
    fields = {"versioningConfiguration": Nested("VersioningConfiguration", pascal("status"))}
    return _configured(request, "put_bucket_versioning", request.arguments({"bucket": "Bucket", **fields}))


def _encryption(request: Request) -> Created:
    arguments = request.arguments({"bucket": "Bucket", "rules": Nested("Rules", _ENCRYPTION_RULE)})
    rules = {"Rules": arguments.pop("Rules")}
    return _configured(request, "put_bucket_encryption", {**arguments, "ServerSideEncryptionConfiguration": rules})


def _lifecycle(request: Request) -> Created:
    arguments = request.arguments({"bucket": "Bucket", "rules": Nested("Rules", _LIFECYCLE_RULE)})
    rules = {"Rules": arguments.pop("Rules")}
    return _configured(request, "put_bucket_lifecycle_configuration", {**arguments, "LifecycleConfiguration": rules})


def _public_access_block(request: Request) -> Created:
    switches = pascal("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    block = request.arguments({"bucket": "Bucket", **switches})
    bucket = block.pop("Bucket")
    return _configured(request, "put_public_access_block", {"Bucket": bucket, "PublicAccessBlockConfiguration": block})


def _ownership(request: Request) -> Created:
    arguments = request.arguments({"bucket": "Bucket", "rule": Nested("Rule", pascal("objectOwnership"))})
    controls = {"Rules": [arguments.pop("Rule")]}
    return _configured(request, "put_bucket_ownership_controls", {**arguments, "OwnershipControls": controls})


def _policy(request: Request) -> Created:
    """The emulator takes every condition of a Deny for met, and so refuses all objects of a bucket that wants TLS.

    It is spoken to without TLS, so that is even right.
    """
    return _configured(request, "put_bucket_policy", request.arguments(pascal("bucket", "policy")))


def _notification(request: Request) -> Created:
    to_eventbridge = request.take("eventbridge", False)
    configuration: dict[str, Any] = {"EventBridgeConfiguration": {}} if to_eventbridge else {}
    arguments = {**request.arguments(pascal("bucket")), "NotificationConfiguration": configuration}
    return _configured(request, "put_bucket_notification_configuration", arguments)


def _configured(request: Request, operation: str, arguments: dict[str, Any]) -> Created:
    """Part of a bucket's configuration, which has the bucket's name for its id."""
    getattr(request.client("s3"), operation)(**arguments)
    return Created(id=arguments["Bucket"])


HANDLERS: dict[str, Handler] = {
    "aws:s3/bucket:Bucket": _bucket,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _lifecycle,
    "aws:s3/bucketNotification:BucketNotification": _notification,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _ownership,
    "aws:s3/bucketPolicy:BucketPolicy": _policy,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _public_access_block,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _encryption,
    "aws:s3/bucketVersioning:BucketVersioning": _versioning,
}

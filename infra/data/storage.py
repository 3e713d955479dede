"""Buckets: for artifacts, data sets and logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from infra.environment import Environment
from infra.identity.iam import ANYONE, Allow, Condition, ResourceStatement, resource_policy
from infra.naming import bucket_prefix

_LOG_DELIVERY = {"Service": "delivery.logs.amazonaws.com"}


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A cheaper storage class that objects move to `after_days` of age.

    What must stay readable at once goes to `GLACIER_IR`: an object in `DEEP_ARCHIVE` takes hours to come back.
    """

    after_days: int
    storage_class: Literal["GLACIER_IR", "DEEP_ARCHIVE"]


@dataclass(frozen=True, kw_only=True)
class ObjectStoreArgs:
    """Inputs of `ObjectStore`.

    A version is deleted `noncurrent_days` after a newer one took its place. Objects are archived and expire by age, if
    at all; what would be archived only after its end is not. With `takes_logs`, AWS writes flow logs of the
    environment's account here. Objects whose keys begin with `written_once` are never overwritten, by anyone.
    """

    environment: Environment
    noncurrent_days: int
    archive: Archive | None = None
    expire_after_days: int | None = None
    takes_logs: bool = False
    written_once: str | None = None

    def __post_init__(self) -> None:
        if self.noncurrent_days < 1:
            raise pulumi.RunError(
                f"noncurrent_days is {self.noncurrent_days}; ObjectStore keeps a version at least 1 day"
            )


class ObjectStore(pulumi.ComponentResource):
    """A versioned, encrypted bucket that only granted identities use, over TLS alone; its events go to EventBridge.

    In an emulated environment it has no policy of its own: requests come without TLS there.
    """

    bucket_name: pulumi.Output[str]
    bucket_arn: pulumi.Output[str]

    def __init__(self, name: str, args: ObjectStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:storage:ObjectStore", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        keep = pulumi.ResourceOptions(parent=self, protect=not args.environment.deletable)
        bucket = aws.s3.Bucket(
            f"{name}-bucket",
            # The deploy role reaches the buckets of its environment by how their names begin.
            bucket_prefix=f"{bucket_prefix(args.environment.name)}{name}-",
            force_destroy=args.environment.deletable,
            opts=keep,
        )
        closed = aws.s3.BucketPublicAccessBlock(
            f"{name}-private",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.s3.BucketOwnershipControls(
            f"{name}-ownership", bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child
        )
        versions = aws.s3.BucketVersioning(
            f"{name}-versions", bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=child
        )
        # AWS delivers logs to no bucket that is encrypted with a key it manages in KMS.
        algorithm = "AES256" if args.takes_logs else "aws:kms"
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.id,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {"sse_algorithm": algorithm},
                    "bucket_key_enabled": True,
                }
            ],
            opts=child,
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-retention",
            bucket=bucket.id,
            rules=_lifecycle(args),
            # A rule on noncurrent versions needs versioning to be on; no value carries that.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versions]),
        )
        statements = [_tls_alone(bucket.arn)]
        if args.takes_logs:
            statements += _log_delivery(bucket.arn, args.environment.account)
        if args.written_once:
            statements.append(_written_once(bucket.arn, args.written_once))
        # The emulator speaks no TLS, and refuses objects for any statement with a condition, whatever that says.
        if not args.environment.emulated:
            aws.s3.BucketPolicy(
                f"{name}-policy",
                bucket=bucket.id,
                policy=resource_policy(statements),
                # S3 refuses two changes of a bucket's access at once; no value carries the order.
                opts=pulumi.ResourceOptions(parent=self, depends_on=[closed]),
            )
        aws.s3.BucketNotification(f"{name}-events", bucket=bucket.id, eventbridge=True, opts=child)

        self.bucket_name, self.bucket_arn = bucket.bucket, bucket.arn
        self.register_outputs({"bucket_name": self.bucket_name, "bucket_arn": self.bucket_arn})

    def read_access(self, prefix: str = "") -> tuple[Allow, ...]:
        """Return what lets a workload list and read below `prefix`, such as `mlflow/`; below all without one."""
        return (self._list_access(prefix), Allow(actions=("s3:GetObject",), resources=(self._objects(prefix),)))

    def write_access(self, prefix: str = "") -> tuple[Allow, ...]:
        """Return what lets a workload list, read, write and delete below `prefix`, but delete no earlier version."""
        actions = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
        return (self._list_access(prefix), Allow(actions=actions, resources=(self._objects(prefix),)))

    def _list_access(self, prefix: str) -> Allow:
        below = Condition(operator="StringLike", key="s3:prefix", values=(prefix.rstrip("/"), f"{prefix}*"))
        return Allow(actions=("s3:ListBucket",), resources=(self.bucket_arn,), conditions=(below,) if prefix else ())

    def _objects(self, prefix: str) -> pulumi.Output[str]:
        return pulumi.Output.format("{0}/{1}*", self.bucket_arn, prefix)


def _lifecycle(args: ObjectStoreArgs) -> list[aws.s3.BucketLifecycleConfigurationRuleArgsDict]:
    rules: list[aws.s3.BucketLifecycleConfigurationRuleArgsDict] = [
        {
            "id": "replaced-versions",
            "status": "Enabled",
            "filter": {},
            "noncurrent_version_expiration": {"noncurrent_days": args.noncurrent_days},
            "expiration": {"expired_object_delete_marker": True},
            "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
        }
    ]
    expires, archive = args.expire_after_days, args.archive
    if archive and (expires is None or archive.after_days < expires):
        rules.append(
            {
                "id": "archive",
                "status": "Enabled",
                "filter": {},
                "transitions": [{"days": archive.after_days, "storage_class": archive.storage_class}],
            }
        )
    if expires is not None:
        rules.append({"id": "end", "status": "Enabled", "filter": {}, "expiration": {"days": expires}})
    return rules


def _tls_alone(bucket_arn: pulumi.Output[str]) -> ResourceStatement:
    return ResourceStatement(
        effect="Deny",
        principal=ANYONE,
        actions=("s3:*",),
        resources=(bucket_arn, pulumi.Output.format("{0}/*", bucket_arn)),
        conditions=(Condition(operator="Bool", key="aws:SecureTransport", values=("false",)),),
    )


def _written_once(bucket_arn: pulumi.Output[str], prefix: str) -> ResourceStatement:
    """Return what refuses every upload below `prefix` that would overwrite an object
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html).
    """
    return ResourceStatement(
        effect="Deny",
        principal=ANYONE,
        actions=("s3:PutObject",),
        resources=(pulumi.Output.format("{0}/{1}*", bucket_arn, prefix),),
        conditions=(Condition(operator="Null", key="s3:if-none-match", values=("true",)),),
    )


def _log_delivery(bucket_arn: pulumi.Output[str], account: pulumi.Input[str]) -> list[ResourceStatement]:
    """Return what lets AWS write flow logs of `account` alone
    (https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-permissions.html).
    """
    of_account = Condition(operator="StringEquals", key="aws:SourceAccount", values=(account,))
    owned = Condition(operator="StringEquals", key="s3:x-amz-acl", values=("bucket-owner-full-control",))
    objects = pulumi.Output.format("{0}/AWSLogs/{1}/*", bucket_arn, account)
    return [
        ResourceStatement(
            principal=_LOG_DELIVERY, actions=("s3:GetBucketAcl",), resources=(bucket_arn,), conditions=(of_account,)
        ),
        ResourceStatement(
            principal=_LOG_DELIVERY, actions=("s3:PutObject",), resources=(objects,), conditions=(of_account, owned)
        ),
    ]

"""The bucket for what workloads produce."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.iam import Allow


@dataclass(frozen=True, kw_only=True)
class ArtifactStoreArgs:
    """Inputs of `ArtifactStore`. A version is deleted `retention_days` after a newer one took its place."""

    retention_days: int
    deletable: bool

    def __post_init__(self) -> None:
        if self.retention_days < 1:
            raise ValueError(f"retention_days is {self.retention_days}; ArtifactStore keeps a version at least 1 day")


class ArtifactStore(pulumi.ComponentResource):
    """A versioned, encrypted bucket for model artifacts that only granted identities can use."""

    bucket_name: pulumi.Output[str]
    bucket_arn: pulumi.Output[str]

    def __init__(self, name: str, args: ArtifactStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:storage:ArtifactStore", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        keep = pulumi.ResourceOptions(parent=self, protect=not args.deletable)
        bucket = aws.s3.Bucket(f"{name}-bucket", force_destroy=args.deletable, opts=keep)
        aws.s3.BucketPublicAccessBlock(
            f"{name}-private",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        versions = aws.s3.BucketVersioning(
            f"{name}-versions", bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=child
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.id,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=child,
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-retention",
            bucket=bucket.id,
            rules=[
                {
                    "id": "replaced-versions",
                    "status": "Enabled",
                    "filter": {},
                    "noncurrent_version_expiration": {"noncurrent_days": args.retention_days},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
                }
            ],
            # A rule on noncurrent versions needs versioning to be on; no value carries that.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versions]),
        )

        self.bucket_name, self.bucket_arn = bucket.bucket, bucket.arn
        self.register_outputs({"bucket_name": self.bucket_name, "bucket_arn": self.bucket_arn})

    def write_access(self) -> tuple[Allow, ...]:
        """What lets a workload list, read, write and delete in this store."""
        objects = pulumi.Output.format("{0}/*", self.bucket_arn)
        return (
            Allow(actions=("s3:ListBucket",), resources=(self.bucket_arn,)),
            Allow(actions=("s3:GetObject", "s3:PutObject", "s3:DeleteObject"), resources=(objects,)),
        )

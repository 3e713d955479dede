"""Rules about buckets."""

from __future__ import annotations

from collections.abc import Iterator

from policies.rules.model import Finding, Plan, Rule

_BUCKET = "aws:s3/bucket:Bucket"
_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
_FLAGS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def _no_public_bucket(plan: Plan) -> Iterator[Finding]:
    blocks = [one for one in plan if one.type == _BLOCK]
    guarded = {urn for block in blocks for urn in block.dependencies}
    for bucket in (one for one in plan if one.type == _BUCKET):
        if bucket.urn not in guarded:
            yield bucket, f"bucket {bucket.name} has no BucketPublicAccessBlock; add one with all four flags on"
    for block in blocks:
        off = [flag for flag in _FLAGS if block.properties.get(flag) is not True]
        if off:
            yield block, f"{', '.join(off)} of {block.name} must be true, or the bucket can be made public"


NO_PUBLIC_BUCKET = Rule(
    name="no-public-bucket",
    description="Every bucket is closed to the public by a public access block with all four flags on.",
    check=_no_public_bucket,
)

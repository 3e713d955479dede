"""Rules about buckets."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from policies.rules.model import UNKNOWN, Context, Finding, Level, Plan, PlannedResource, Rule, of_type
from policies.rules.reading import all_statements, at, is_on, mappings, texts

BUCKET = "aws:s3/bucket:Bucket"
_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
_ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
_VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
_FLAGS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_ALGORITHMS = ("aws:kms", "aws:kms:dsse", "AES256")


def _companions(
    plan: Plan, type_: str, wrong: Callable[[PlannedResource], str | None], advice: str
) -> Iterator[Finding]:
    """Yield each bucket without a resource of `type_` for it, and each such resource that is `wrong`."""
    companions = of_type(plan, type_)
    served = {urn for one in companions for urn in one.dependencies}
    kind = type_.rpartition(":")[2]
    for bucket in of_type(plan, BUCKET):
        if bucket.urn not in served:
            yield bucket, f"bucket {bucket.name} has no {kind}; {advice}"
    for one in companions:
        fault = wrong(one)
        if fault:
            yield one, f"{fault}; {advice}"


def _open_flags(block: PlannedResource) -> str | None:
    off = [flag for flag in _FLAGS if not is_on(at(block.properties, flag))]
    return f"{', '.join(off)} of {block.name} must be true" if off else None


def _no_public_bucket(plan: Plan, _context: Context) -> Iterator[Finding]:
    yield from _companions(plan, _BLOCK, _open_flags, "with all four flags on, nobody can make the bucket public")


NO_PUBLIC_BUCKET = Rule(
    name="no-public-bucket",
    description="Every bucket is closed to the public by a public access block with all four flags on.",
    check=_no_public_bucket,
    whole_plan=True,
)


def _admits_plain_http(policy: PlannedResource) -> str | None:
    document = at(policy.properties, "policy")
    if document is UNKNOWN:
        return None
    refused = any(
        at(one, "Effect") == "Deny"
        and at(one, "Principal") in ("*", {"AWS": "*"})
        and "s3:*" in texts(at(one, "Action"))
        and (at(one, "Resource") == "*" or len(texts(at(one, "Resource"))) > 1)  # the bucket and its objects
        and at(one, "Condition", "Bool", "aws:SecureTransport") in ("false", False)
        for one in all_statements(document)
    )
    return None if refused else f"{policy.name} does not refuse requests without TLS"


def _buckets_over_tls(plan: Plan, _context: Context) -> Iterator[Finding]:
    advice = "deny s3:* to everyone, on the bucket and its objects, where aws:SecureTransport is false"
    yield from _companions(plan, _POLICY, _admits_plain_http, advice)


BUCKETS_OVER_TLS = Rule(
    name="buckets-over-tls",
    description="The policy of every bucket refuses requests that do not come over TLS.",
    check=_buckets_over_tls,
    level_overrides={"local": Level.OFF},  # the emulator has no TLS
    whole_plan=True,
)


def _versioning_off(versioning: PlannedResource) -> str | None:
    found = at(versioning.properties, "versioningConfiguration", "status")
    return None if found in ("Enabled", UNKNOWN) else f"{versioning.name} is {found!r} and must be 'Enabled'"


def _buckets_versioned(plan: Plan, _context: Context) -> Iterator[Finding]:
    yield from _companions(plan, _VERSIONING, _versioning_off, "what is overwritten or deleted can then be had back")


BUCKETS_VERSIONED = Rule(
    name="buckets-versioned",
    description="Every bucket keeps the versions of what is overwritten or deleted.",
    check=_buckets_versioned,
    whole_plan=True,
)


def _unencrypted(configuration: PlannedResource) -> str | None:
    rules = at(configuration.properties, "rules")
    found = [at(one, "applyServerSideEncryptionByDefault", "sseAlgorithm") for one in mappings(rules)]
    if rules is UNKNOWN or (found and all(one is UNKNOWN or one in _ALGORITHMS for one in found)):
        return None
    return f"{configuration.name} encrypts with {', '.join(map(repr, found)) or 'nothing'}"


def _buckets_encrypted(plan: Plan, _context: Context) -> Iterator[Finding]:
    advice = f"it must be one of {', '.join(_ALGORITHMS)} (AES256 where AWS itself delivers: logs)"
    yield from _companions(plan, _ENCRYPTION, _unencrypted, advice)


BUCKETS_ENCRYPTED = Rule(
    name="buckets-encrypted",
    description="Every bucket says how it encrypts: with a KMS key, or with S3's own where AWS delivers logs.",
    check=_buckets_encrypted,
    whole_plan=True,
)

STORAGE_RULES = (NO_PUBLIC_BUCKET, BUCKETS_OVER_TLS, BUCKETS_VERSIONED, BUCKETS_ENCRYPTED)

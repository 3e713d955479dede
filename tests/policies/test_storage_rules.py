import pytest

from policies.rules.model import UNKNOWN
from tests.policies.builders import document, messages, resource

BUCKET = resource("aws:s3/bucket:Bucket", name="models")
ARN = "arn:aws:s3:::models"
CLOSED = {"blockPublicAcls": True, "blockPublicPolicy": True, "ignorePublicAcls": True, "restrictPublicBuckets": True}
TLS = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": ["s3:*"],
    "Resource": [ARN, f"{ARN}/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
KINDS = {
    "no-public-bucket": "BucketPublicAccessBlock",
    "buckets-over-tls": "BucketPolicy",
    "buckets-versioned": "BucketVersioning",
    "buckets-encrypted": "BucketServerSideEncryptionConfiguration",
}


LOOSE: list[dict[str, object]] = [
    {"Effect": "Allow"},
    {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}},
    {"Action": ["s3:GetObject"]},
    {"Resource": [ARN]},
    {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
    {"Condition": {}},
]
"""What leaves a hole in the refusal of plain HTTP."""


def of_bucket(rule, properties):
    """What a rule says of a bucket and of the one resource that the rule looks at."""
    kind = KINDS[rule]
    type_ = f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}"
    return messages(rule, BUCKET, resource(type_, properties, name="guard", depends_on=[BUCKET]))


def encrypted(*algorithms):
    return {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": one}} for one in algorithms]}


@pytest.mark.parametrize(
    ("rule", "properties"),
    [
        ("no-public-bucket", CLOSED),
        ("no-public-bucket", {**CLOSED, "blockPublicAcls": UNKNOWN}),
        ("buckets-over-tls", {"policy": document({"Effect": "Allow"}, TLS)}),
        ("buckets-over-tls", {"policy": document({**TLS, "Principal": {"AWS": "*"}, "Resource": "*"})}),
        ("buckets-over-tls", {"policy": UNKNOWN}),
        ("buckets-versioned", {"versioningConfiguration": {"status": "Enabled"}}),
        ("buckets-versioned", {"versioningConfiguration": UNKNOWN}),
        ("buckets-encrypted", encrypted("aws:kms")),
        ("buckets-encrypted", encrypted("AES256")),
        ("buckets-encrypted", encrypted(UNKNOWN)),
        ("buckets-encrypted", {"rules": UNKNOWN}),
    ],
)
def test_a_guarded_bucket_is_not_spoken_of(rule, properties):
    assert of_bucket(rule, properties) == []


@pytest.mark.parametrize(
    ("rule", "properties", "message"),
    [
        (
            "no-public-bucket",
            {**CLOSED, "blockPublicPolicy": False, "ignorePublicAcls": None},
            "blockPublicPolicy, ignorePublicAcls of guard must be true",
        ),
        ("buckets-over-tls", {"policy": document()}, "guard does not refuse requests without TLS"),
        ("buckets-over-tls", {}, "guard does not refuse requests without TLS"),
        *(
            ("buckets-over-tls", {"policy": document({**TLS, **change})}, "guard does not refuse requests without TLS")
            for change in LOOSE
        ),
        (
            "buckets-versioned",
            {"versioningConfiguration": {"status": "Suspended"}},
            "guard is 'Suspended' and must be 'Enabled'",
        ),
        ("buckets-versioned", {}, "guard is None and must be 'Enabled'"),
        ("buckets-encrypted", {"rules": []}, "guard encrypts with nothing"),
        ("buckets-encrypted", encrypted("rot13"), "guard encrypts with 'rot13'"),
        ("buckets-encrypted", encrypted("aws:kms", None), "guard encrypts with 'aws:kms', None"),
    ],
)
def test_a_guard_that_lets_through_is_named_with_what_it_has(rule, properties, message):
    [found] = of_bucket(rule, properties)
    assert found.startswith(f"{message}; ")


@pytest.mark.parametrize(("rule", "kind"), KINDS.items(), ids=KINDS)
def test_a_bucket_without_its_guard_is_named(rule, kind):
    [found] = messages(rule, BUCKET)
    assert found.startswith(f"bucket models has no {kind}; ")


def test_a_guard_is_for_the_bucket_it_was_made_for_and_no_other():
    block = resource(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", CLOSED, name="guard", depends_on=[BUCKET]
    )
    [found] = messages("no-public-bucket", resource(BUCKET.type, name="other"), BUCKET, block)
    assert found.startswith("bucket other has no BucketPublicAccessBlock")

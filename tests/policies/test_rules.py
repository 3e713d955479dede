import pytest

from policies.rules import RULES, PlannedResource, violations_of

BUCKET = "aws:s3/bucket:Bucket"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
DATABASE = "aws:rds/instance:Instance"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
CLOSED = {"blockPublicAcls": True, "blockPublicPolicy": True, "ignorePublicAcls": True, "restrictPublicBuckets": True}
GPU_TAINT = [{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}]
IDLE_FREE = {"capacityType": "SPOT", "scalingConfig": {"minSize": 0, "maxSize": 5}, "taints": GPU_TAINT}


def resource(type_, properties=None, *, name="thing", depends_on=()):
    return PlannedResource(
        urn=f"{type_}::{name}", type=type_, name=name, properties=properties or {}, dependencies=tuple(depends_on)
    )


def messages(*plan):
    return [violation.message for violation in violations_of(RULES, plan)]


def bucket_with_block(**changes):
    return resource(BUCKET), resource(BLOCK, {**CLOSED, **changes}, name="block", depends_on=[f"{BUCKET}::thing"])


@pytest.mark.parametrize(
    "plan",
    [
        (),
        bucket_with_block(),
        (resource(DATABASE, {"storageEncrypted": True}),),
        (resource(NODE_GROUP, IDLE_FREE),),
        (resource(DATABASE, {"storageEncrypted": True, "deletionProtection": True, "multiAz": True}),),
        (resource(DATABASE, {"storageEncrypted": True, "deletionProtection": False, "multiAz": False}),),
        (
            resource(NODE_GROUP, IDLE_FREE),
            resource(NODE_GROUP, {**IDLE_FREE, "capacityType": "ON_DEMAND"}, name="fallback"),
        ),
        (resource(NODE_GROUP, {"capacityType": "ON_DEMAND", "scalingConfig": {"minSize": 2}}),),
        (resource("aws:ec2/vpc:Vpc"),),
    ],
    ids=[
        "nothing",
        "closed bucket",
        "encrypted database",
        "spot pool",
        "database with standby",
        "database to delete",
        "on-demand fallback",
        "pool without GPU",
        "other type",
    ],
)
def test_what_holds_the_rules_is_not_spoken_of(plan):
    assert messages(*plan) == []


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (
            (resource(BUCKET),),
            "bucket thing has no BucketPublicAccessBlock; add one with all four flags on",
        ),
        (
            bucket_with_block(blockPublicPolicy=False, ignorePublicAcls=None),
            "blockPublicPolicy, ignorePublicAcls of block must be true, or the bucket can be made public",
        ),
        (
            (resource(DATABASE, {"storageEncrypted": False}),),
            "storageEncrypted of thing is False and must be true",
        ),
        ((resource(DATABASE),), "storageEncrypted of thing is None and must be true"),
        (
            (resource(DATABASE, {"storageEncrypted": True, "deletionProtection": True, "multiAz": False}),),
            "multiAz of thing is False and must be true where deletion is refused",
        ),
        (
            (resource(NODE_GROUP, {**IDLE_FREE, "capacityType": "ON_DEMAND"}),),
            "capacityType of GPU pool thing is ON_DEMAND; SPOT must be tried before it, by some pool",
        ),
        (
            (resource(NODE_GROUP, {**IDLE_FREE, "scalingConfig": {"minSize": 1}}),),
            "scalingConfig.minSize of GPU pool thing is 1 and must be 0",
        ),
        (
            (resource(NODE_GROUP, {"amiType": "AL2023_x86_64_NVIDIA", "scalingConfig": {"minSize": 0}}),),
            "capacityType of GPU pool thing is ON_DEMAND; SPOT must be tried before it, by some pool",
        ),
    ],
    ids=[
        "open bucket",
        "flags",
        "plain database",
        "default database",
        "no standby",
        "on demand",
        "minimum",
        "untainted GPU pool",
    ],
)
def test_exactly_the_broken_rule_speaks(plan, message):
    assert messages(*plan) == [message]


def test_a_block_guards_the_bucket_it_was_made_for_and_no_other():
    _, block = bucket_with_block()
    assert messages(resource(BUCKET, name="other"), resource(BUCKET), block) == [
        "bucket other has no BucketPublicAccessBlock; add one with all four flags on"
    ]

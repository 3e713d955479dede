"""Rules that look at one resource at a time: what they let pass, and what they say."""

import pytest

from infra import tags
from policies.rules.model import UNKNOWN
from policies.rules.nodes import MIN_SIZE_TAG
from tests.policies.builders import messages, resource

DATABASE = "aws:rds/instance:Instance"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
POOL = "aws:eks/nodeGroup:NodeGroup"
CLUSTER = "aws:eks/cluster:Cluster"
CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"
REPOSITORY = "aws:ecr/repository:Repository"
TOPIC = "aws:sns/topic:Topic"
LOGS = "aws:cloudwatch/logGroup:LogGroup"
BUCKET = "aws:s3/bucket:Bucket"
TAINT = {"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}
GPU = {"instanceTypes": ["g6.xlarge"], "capacityType": "SPOT", "scalingConfig": {"minSize": 0}, "taints": [TAINT]}
GUARDED = {"httpTokens": "required", "httpPutResponseHopLimit": 1}
SEALED = {"encryptionConfig": {"resources": ["secrets"], "provider": {"keyArn": "arn:aws:kms:key"}}}


def disk(encrypted):
    return {"blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"encrypted": encrypted}}]}


def test_the_rules_read_the_tag_that_node_groups_get():
    assert MIN_SIZE_TAG == tags.SMALLEST_TAG


@pytest.mark.parametrize(
    ("rule", "type_", "properties"),
    [
        ("database-encrypted", DATABASE, {"storageEncrypted": True}),
        ("database-encrypted", DATABASE, {"storageEncrypted": UNKNOWN}),
        ("database-private", DATABASE, {"publiclyAccessible": False}),
        ("database-private", DATABASE, {}),
        ("database-has-a-standby", DATABASE, {"multiAz": True}),
        ("database-backed-up", DATABASE, {"backupRetentionPeriod": 7}),
        ("database-backed-up", DATABASE, {"backupRetentionPeriod": UNKNOWN}),
        ("volumes-encrypted", TEMPLATE, disk("true")),
        ("volumes-encrypted", TEMPLATE, disk(True)),
        ("volumes-encrypted", TEMPLATE, {"blockDeviceMappings": UNKNOWN}),
        ("volumes-encrypted", CLASS, {"provisioner": "ebs.csi.aws.com", "parameters": {"encrypted": "true"}}),
        ("volumes-encrypted", CLASS, {"provisioner": "efs.csi.aws.com"}),
        ("volumes-encrypted", "aws:ebs/volume:Volume", {"encrypted": True}),
        ("cluster-secrets-encrypted", CLUSTER, SEALED),
        ("cluster-secrets-encrypted", CLUSTER, {"encryptionConfig": UNKNOWN}),
        ("images-encrypted", REPOSITORY, {"encryptionConfigurations": [{"encryptionType": "KMS"}]}),
        ("images-encrypted", REPOSITORY, {"encryptionConfigurations": UNKNOWN}),
        ("topics-encrypted", TOPIC, {"kmsMasterKeyId": "alias/alerts"}),
        ("topics-encrypted", TOPIC, {"kmsMasterKeyId": UNKNOWN}),
        ("logs-end", LOGS, {"retentionInDays": 1}),
        ("logs-end", LOGS, {"retentionInDays": UNKNOWN}),
        ("gpu-pools-on-spot", POOL, GPU),
        ("gpu-pools-on-spot", POOL, {**GPU, "capacityType": UNKNOWN}),
        ("gpu-pools-on-spot", POOL, {"instanceTypes": ["m7i.large"], "capacityType": "ON_DEMAND"}),
        ("gpu-pools-free-when-idle", POOL, GPU),
        ("gpu-pools-free-when-idle", POOL, {**GPU, "tags": {MIN_SIZE_TAG: "0"}}),
        ("gpu-pools-free-when-idle", POOL, {**GPU, "tags": UNKNOWN}),
        ("gpu-pools-free-when-idle", POOL, {"instanceTypes": ["m7i.large"], "scalingConfig": {"minSize": 2}}),
        ("gpu-pools-tainted", POOL, GPU),
        ("gpu-pools-tainted", POOL, {**GPU, "taints": UNKNOWN}),
        ("node-metadata-guarded", TEMPLATE, {"metadataOptions": GUARDED}),
        ("node-metadata-guarded", TEMPLATE, {"metadataOptions": {"httpEndpoint": "disabled"}}),
        ("node-metadata-guarded", TEMPLATE, {"metadataOptions": UNKNOWN}),
        ("node-metadata-guarded", POOL, {"launchTemplate": {"id": UNKNOWN}}),
        ("deletion-refused", DATABASE, {"deletionProtection": True, "skipFinalSnapshot": False}),
        ("deletion-refused", CLUSTER, {"deletionProtection": True}),
        ("deletion-refused", BUCKET, {}),
    ],
)
def test_what_holds_a_rule_is_not_spoken_of(rule, type_, properties):
    assert messages(rule, resource(type_, properties)) == []


@pytest.mark.parametrize(
    ("rule", "type_", "properties", "message"),
    [
        ("database-encrypted", DATABASE, {}, "storageEncrypted of thing is None and must be true"),
        ("database-private", DATABASE, {"publiclyAccessible": True}, "publiclyAccessible of thing is True and must be"),
        ("database-has-a-standby", DATABASE, {"multiAz": False}, "multiAz of thing is False and must be true"),
        (
            "database-backed-up",
            DATABASE,
            {"backupRetentionPeriod": 6},
            "backupRetentionPeriod of thing is 6 and must be at least 7 days",
        ),
        ("database-backed-up", DATABASE, {}, "backupRetentionPeriod of thing is None and must be at least 7 days"),
        ("volumes-encrypted", TEMPLATE, disk("false"), "disk /dev/xvda of launch template thing has encrypted 'false'"),
        ("volumes-encrypted", TEMPLATE, {}, "launch template thing names no disk"),
        (
            "volumes-encrypted",
            CLASS,
            {"provisioner": "ebs.csi.aws.com"},
            "parameters.encrypted of storage class thing is None",
        ),
        ("volumes-encrypted", "aws:ebs/volume:Volume", {}, "encrypted of thing is None and must be true"),
        ("cluster-secrets-encrypted", CLUSTER, {}, "encryptionConfig of thing has resources None, key None"),
        (
            "cluster-secrets-encrypted",
            CLUSTER,
            {"encryptionConfig": {**SEALED["encryptionConfig"], "resources": []}},
            "encryptionConfig of thing has resources [], key 'arn:aws:kms:key'",
        ),
        (
            "cluster-secrets-encrypted",
            CLUSTER,
            {"encryptionConfig": {"resources": ["secrets"]}},
            "encryptionConfig of thing has resources ['secrets'], key None",
        ),
        ("images-encrypted", REPOSITORY, {}, "encryption of repository thing is AES256; it must be KMS"),
        (
            "images-encrypted",
            REPOSITORY,
            {"encryptionConfigurations": [{"encryptionType": "AES256"}]},
            "encryption of repository thing is ['AES256']; it must be KMS",
        ),
        ("topics-encrypted", TOPIC, {}, "kmsMasterKeyId of topic thing is None"),
        ("topics-encrypted", TOPIC, {"kmsMasterKeyId": "alias/aws/sns"}, "kmsMasterKeyId of topic thing is 'alias/aws"),
        ("logs-end", LOGS, {}, "retentionInDays of log group thing is None"),
        ("logs-end", LOGS, {"retentionInDays": 0}, "retentionInDays of log group thing is 0"),
        (
            "gpu-pools-on-spot",
            POOL,
            {"amiType": "AL2023_x86_64_NVIDIA"},
            "capacityType of GPU pool thing is ON_DEMAND; SPOT must be tried before it, by some pool",
        ),
        (
            "gpu-pools-free-when-idle",
            POOL,
            {**GPU, "scalingConfig": {"minSize": 1}},
            "scalingConfig.minSize of GPU pool thing is 1 and must be 0",
        ),
        (
            "gpu-pools-free-when-idle",
            POOL,
            {**GPU, "tags": {MIN_SIZE_TAG: "1"}},
            "tags.ml-platform/min-size of GPU pool thing is '1' and must be 0",
        ),
        ("gpu-pools-tainted", POOL, {**GPU, "taints": None}, "taints of GPU pool thing are []; one must be nvidia.com"),
        (
            "gpu-pools-tainted",
            POOL,
            {**GPU, "taints": [{**TAINT, "effect": "PREFER_NO_SCHEDULE"}]},
            "taints of GPU pool thing are [('nvidia.com/gpu', 'PREFER_NO_SCHEDULE')]",
        ),
        (
            "node-metadata-guarded",
            TEMPLATE,
            {"metadataOptions": {**GUARDED, "httpTokens": "optional"}},
            "metadataOptions.httpTokens of thing is 'optional' and must be 'required' (IMDSv2)",
        ),
        (
            "node-metadata-guarded",
            TEMPLATE,
            {"metadataOptions": {**GUARDED, "httpPutResponseHopLimit": 2}},
            "metadataOptions.httpPutResponseHopLimit of thing is 2 and must be 1",
        ),
        ("node-metadata-guarded", POOL, {}, "node group thing has no launch template"),
        (
            "deletion-refused",
            DATABASE,
            {"deletionProtection": False},
            "deletionProtection of thing is False and must be true",
        ),
        (
            "deletion-refused",
            DATABASE,
            {"deletionProtection": True, "skipFinalSnapshot": True},
            "skipFinalSnapshot of thing is True and must be false",
        ),
        ("deletion-refused", BUCKET, {"forceDestroy": True}, "forceDestroy of thing is True and must be false"),
        ("deletion-refused", REPOSITORY, {"forceDelete": True}, "forceDelete of thing is True and must be false"),
    ],
)
def test_what_breaks_a_rule_is_named_with_the_value_found_and_what_is_allowed(rule, type_, properties, message):
    [found] = messages(rule, resource(type_, properties))
    assert found.startswith(message)


def test_an_on_demand_gpu_pool_may_stand_behind_a_spot_pool():
    fallback = resource(POOL, {**GPU, "capacityType": "ON_DEMAND"}, name="fallback")
    assert messages("gpu-pools-on-spot", resource(POOL, GPU), fallback) == []


@pytest.mark.parametrize("type_", [DATABASE, BUCKET, "aws:kms/key:Key"])
def test_what_holds_data_is_protected_or_named(type_):
    assert messages("data-protected", resource(type_, protect=True)) == []
    [found] = messages("data-protected", resource(type_))
    assert found.startswith("protect of thing is False and must be true")


def test_what_holds_no_data_need_not_be_protected():
    assert messages("data-protected", resource("aws:ec2/vpc:Vpc")) == []

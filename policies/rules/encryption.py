"""Rules about data at rest, except buckets and databases, and about logs."""

from __future__ import annotations

from collections.abc import Iterator

from policies.rules.model import UNKNOWN, Context, Finding, Plan, PlannedResource, Rule, of_type
from policies.rules.reading import at, is_on, listed, mappings, number

LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
CLUSTER = "aws:eks/cluster:Cluster"
_STORAGE_CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"
_SWITCHED = ("aws:ebs/volume:Volume", "aws:efs/fileSystem:FileSystem")
_EBS_DRIVER = "ebs.csi.aws.com"


def _volumes_encrypted(plan: Plan, _context: Context) -> Iterator[Finding]:
    for template in of_type(plan, LAUNCH_TEMPLATE):
        yield from ((template, message) for message in _open_disks(template))
    for storage_class in of_type(plan, _STORAGE_CLASS):
        found = at(storage_class.properties, "parameters", "encrypted")
        if at(storage_class.properties, "provisioner") == _EBS_DRIVER and not is_on(found):
            yield storage_class, f"parameters.encrypted of storage class {storage_class.name} is {found!r}, not 'true'"
    for volume in of_type(plan, *_SWITCHED):
        found = at(volume.properties, "encrypted")
        if not is_on(found):
            yield volume, f"encrypted of {volume.name} is {found!r} and must be true"


def _open_disks(template: PlannedResource) -> Iterator[str]:
    disks = at(template.properties, "blockDeviceMappings")
    if disks is not UNKNOWN and not mappings(disks):
        yield f"launch template {template.name} names no disk; name the root device, encrypted: an image's is not"
    for disk in mappings(disks):
        found = at(disk, "ebs", "encrypted")
        if not is_on(found):
            yield f"disk {at(disk, 'deviceName')} of launch template {template.name} has encrypted {found!r}, not true"


VOLUMES_ENCRYPTED = Rule(
    name="volumes-encrypted",
    description="Disks of nodes, volumes that pods claim, and file systems are encrypted; AWS's default is that they "
    "are not.",
    check=_volumes_encrypted,
)


def _cluster_secrets_encrypted(plan: Plan, _context: Context) -> Iterator[Finding]:
    for cluster in of_type(plan, CLUSTER):
        found = at(cluster.properties, "encryptionConfig", "resources")
        key = at(cluster.properties, "encryptionConfig", "provider", "keyArn")
        if found is not UNKNOWN and ("secrets" not in listed(found) or not key):
            yield cluster, f"encryptionConfig of {cluster.name} has resources {found!r}, key {key!r}; encrypt 'secrets'"


CLUSTER_SECRETS_ENCRYPTED = Rule(
    name="cluster-secrets-encrypted",
    description="Kubernetes' secrets are encrypted with a key of the platform's own.",
    check=_cluster_secrets_encrypted,
)


def _images_encrypted(plan: Plan, _context: Context) -> Iterator[Finding]:
    for repository in of_type(plan, "aws:ecr/repository:Repository"):
        configurations = at(repository.properties, "encryptionConfigurations")
        found = [at(one, "encryptionType") for one in mappings(configurations)]
        if configurations is not UNKNOWN and not any(one in ("KMS", "KMS_DSSE", UNKNOWN) for one in found):
            yield repository, f"encryption of repository {repository.name} is {found or 'AES256'}; it must be KMS"


IMAGES_ENCRYPTED = Rule(
    name="images-encrypted",
    description="Image repositories are encrypted with a KMS key, so that each use of it is on record.",
    check=_images_encrypted,
)


def _topics_encrypted(plan: Plan, _context: Context) -> Iterator[Finding]:
    for topic in of_type(plan, "aws:sns/topic:Topic"):
        found = at(topic.properties, "kmsMasterKeyId")
        if found is not UNKNOWN and (not found or found == "alias/aws/sns"):
            message = (
                f"kmsMasterKeyId of topic {topic.name} is {found!r}; name a key of your own, which the services that "
                "publish may use"
            )
            yield topic, message


TOPICS_ENCRYPTED = Rule(
    name="topics-encrypted",
    description="Topics are encrypted with a key of the platform's own: SNS encrypts messages for those alone who ask, "
    "and AWS's services cannot publish under the key it manages "
    "(https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html).",
    check=_topics_encrypted,
)


def _logs_end(plan: Plan, _context: Context) -> Iterator[Finding]:
    for group in of_type(plan, "aws:cloudwatch/logGroup:LogGroup"):
        found = at(group.properties, "retentionInDays")
        if found is not UNKNOWN and not (number(found) or 0) > 0:
            yield group, f"retentionInDays of log group {group.name} is {found!r}; set 1 or more, 0 is for ever"


LOGS_END = Rule(
    name="logs-end",
    description="Log groups delete what is old. That CloudWatch encrypts them needs no rule: it always does "
    "(https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html).",
    check=_logs_end,
)

ENCRYPTION_RULES = (VOLUMES_ENCRYPTED, CLUSTER_SECRETS_ENCRYPTED, IMAGES_ENCRYPTED, TOPICS_ENCRYPTED, LOGS_END)

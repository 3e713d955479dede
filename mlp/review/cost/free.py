"""What costs nothing by itself, and why: the rest of a plan's resource types, so that no type goes unlooked at."""

from __future__ import annotations

from collections.abc import Mapping

_LAYOUT = "the layout of a network is free; what passes through gateways, and public addresses, are not"
_RULES_OF_BUCKETS = "a bucket's rules are free; what lies in it is not"
_EVENTS = "rules for AWS's own events are free"
_NOTICES = "AWS's first 1,000 emails a month are free"

FREE: Mapping[str, str] = {
    "aws:acm/certificate:Certificate": "public certificates are free",
    "aws:acm/certificateValidation:CertificateValidation": "public certificates are free",
    "aws:autoscaling/tag:Tag": "tags are free",
    "aws:budgets/budget:Budget": "a budget that only tells is free",
    "aws:cloudwatch/eventRule:EventRule": _EVENTS,
    "aws:cloudwatch/eventTarget:EventTarget": _EVENTS,
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": _LAYOUT,
    "aws:ec2/internetGateway:InternetGateway": _LAYOUT,
    "aws:ec2/launchTemplate:LaunchTemplate": "a template is free; its disks are counted with the nodes",
    "aws:ec2/route:Route": _LAYOUT,
    "aws:ec2/routeTable:RouteTable": _LAYOUT,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _LAYOUT,
    "aws:ec2/securityGroup:SecurityGroup": _LAYOUT,
    "aws:ec2/subnet:Subnet": _LAYOUT,
    "aws:ec2/vpc:Vpc": _LAYOUT,
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": "rules are free; images are not",
    "aws:eks/accessEntry:AccessEntry": "access is free",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": "access is free",
    "aws:eks/addon:Addon": "an add-on is pods, which run on nodes that are counted",
    "aws:rds/eventSubscription:EventSubscription": _NOTICES,
    "aws:rds/parameterGroup:ParameterGroup": "parameters are free",
    "aws:rds/subnetGroup:SubnetGroup": _LAYOUT,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _RULES_OF_BUCKETS,
    "aws:s3/bucketNotification:BucketNotification": _RULES_OF_BUCKETS,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _RULES_OF_BUCKETS,
    "aws:s3/bucketPolicy:BucketPolicy": _RULES_OF_BUCKETS,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _RULES_OF_BUCKETS,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _RULES_OF_BUCKETS,
    "aws:s3/bucketVersioning:BucketVersioning": _RULES_OF_BUCKETS,
    "aws:secretsmanager/secretVersion:SecretVersion": "counted with its secret",
    "aws:sns/topic:Topic": _NOTICES,
    "aws:sns/topicPolicy:TopicPolicy": _NOTICES,
    "aws:sns/topicSubscription:TopicSubscription": _NOTICES,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _LAYOUT,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _LAYOUT,
}

_FREE_KINDS = (
    ("aws:iam/", "identities, roles and policies are free"),
    ("docker-build:", "built where it is deployed from; the registry's storage is counted"),
    ("eks:index:", "made of parts that are counted"),
    ("kubernetes:", "runs on nodes that are counted"),
    ("pulumi:", "Pulumi's own bookkeeping"),
    ("random:", "a value, made by Pulumi"),
)


def free_reason(type_: str) -> str | None:
    """Why resources of this type cost nothing by themselves; None for all others."""
    return FREE.get(type_) or next((why for prefix, why in _FREE_KINDS if type_.startswith(prefix)), None)

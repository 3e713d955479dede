"""Grants of the roles that GitHub's workflows assume in an AWS account: deploy, preview and push images.

The grants count on names, so that an environment's deployer stays inside its own: roles lie under `role_path`,
secrets begin with `secret_prefix` and buckets with `bucket_prefix`; the cluster, the database, their log groups and the
image repositories have names of `naming.py`. What Pulumi or AWS names (the network, keys, topics, certificates) is
limited to the region: environments whose deployers must not reach each other's belong in accounts of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.identity.iam import Allow, Condition
from infra.naming import PROJECT, bucket_prefix, cluster_name, database_name, deploy_role_name, role_path, secret_prefix
from infra.projects import platform_project, workloads_project

STATE = ".pulumi"
"""Folder of Pulumi's files in a state bucket."""
ATTACHABLE_POLICIES = (
    "AmazonEKS*",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonSSMManagedInstanceCore",
    "service-role/AmazonEBSCSIDriver*",
    "service-role/AmazonRDSEnhancedMonitoringRole",
)
"""AWS-managed policies that the programs attach to roles of the cluster, its nodes, add-ons and the database."""
PASSED_TO = (
    "ec2.amazonaws.com",
    "eks.amazonaws.com",
    "monitoring.rds.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
)
"""Services to which a role of the platform may be passed."""
SERVICE_LINKED = (
    "autoscaling.amazonaws.com",
    "eks.amazonaws.com",
    "eks-nodegroup.amazonaws.com",
    "elasticloadbalancing.amazonaws.com",
    "rds.amazonaws.com",
    "spot.amazonaws.com",
)
"""Services that make a role for themselves in an account that has not used them yet."""


def _actions(service: str, names: str) -> tuple[str, ...]:
    return tuple(f"{service}:{name}" for name in names.split())


_READ_ROLES = _actions(
    "iam",
    "GetRole GetRolePolicy ListAttachedRolePolicies ListInstanceProfilesForRole ListRolePolicies ListRoleTags",
)
_READ_ISSUERS = _actions("iam", "GetOpenIDConnectProvider ListOpenIDConnectProviderTags")
_READ_BUCKETS = _actions(
    "s3",
    "GetAccelerateConfiguration GetBucket* GetEncryptionConfiguration GetLifecycleConfiguration"
    " GetReplicationConfiguration ListBucket ListBucketVersions ListTagsForResource",
)
_READ_REGION = (
    *_actions("acm", "DescribeCertificate ListTagsForCertificate"),
    *_actions("autoscaling", "Describe*"),
    *_actions("cloudwatch", "DescribeAlarms ListTagsForResource"),
    *_actions("ec2", "Describe* GetSecurityGroupsForVpc"),
    *_actions("ecr", "Describe* GetAuthorizationToken GetLifecyclePolicy GetRepositoryPolicy ListTagsForResource"),
    *_actions("eks", "Describe* List*"),
    *_actions("events", "DescribeRule ListTagsForResource"),
    *_actions("elasticloadbalancing", "Describe*"),
    *_actions("kms", "DescribeKey GetKeyPolicy GetKeyRotationStatus ListAliases ListResourceTags"),
    *_actions("logs", "DescribeLogGroups ListTagsForResource"),
    *_actions("rds", "Describe* ListTagsForResource"),
    *_actions("secretsmanager", "DescribeSecret GetResourcePolicy"),
    *_actions("sns", "GetSubscriptionAttributes GetTopicAttributes ListSubscriptionsByTopic ListTagsForResource"),
    *_actions("wafv2", "GetWebACL ListTagsForResource"),
)
_READ_EVERYWHERE = (
    *_actions("budgets", "ListTagsForResource ViewBudget"),
    *_actions("pricing", "GetProducts"),
    *_actions("route53", "GetChange GetHostedZone ListHostedZones* ListResourceRecordSets ListTagsForResource"),
    *_actions("sts", "GetCallerIdentity"),
)
_CHANGE_NETWORK = _actions(
    "ec2",
    "AllocateAddress DisassociateAddress ReleaseAddress"
    " CreateVpc DeleteVpc ModifyVpcAttribute CreateSubnet DeleteSubnet ModifySubnetAttribute"
    " CreateInternetGateway DeleteInternetGateway AttachInternetGateway DetachInternetGateway"
    " CreateNatGateway DeleteNatGateway CreateVpcEndpoint DeleteVpcEndpoints ModifyVpcEndpoint"
    " CreateRouteTable DeleteRouteTable AssociateRouteTable DisassociateRouteTable ReplaceRouteTableAssociation"
    " CreateRoute DeleteRoute ReplaceRoute CreateFlowLogs DeleteFlowLogs"
    " CreateSecurityGroup DeleteSecurityGroup AuthorizeSecurityGroup* RevokeSecurityGroup* ModifySecurityGroupRules"
    " UpdateSecurityGroupRuleDescriptions* DetachNetworkInterface DeleteNetworkInterface"
    # EKS tries a launch template out in its caller's name before it makes a node group of it: RunInstances.
    " CreateLaunchTemplate* DeleteLaunchTemplate* ModifyLaunchTemplate RunInstances CreateTags DeleteTags",
)
_CHANGE_UNNAMED = (
    *_actions("acm", "AddTagsToCertificate DeleteCertificate RemoveTagsFromCertificate RequestCertificate"),
    *_actions("autoscaling", "CreateOrUpdateTags DeleteTags"),
    *_actions("cloudwatch", "DeleteAlarms PutMetricAlarm TagResource UntagResource"),
    *_actions("events", "DeleteRule PutRule TagResource UntagResource"),
    *_actions(
        "kms", "CreateAlias DeleteAlias UpdateAlias CreateGrant RetireGrant CreateKey PutKeyPolicy UpdateKeyDescription"
    ),
    *_actions("kms", "EnableKeyRotation DisableKeyRotation ScheduleKeyDeletion CancelKeyDeletion"),
    *_actions("kms", "TagResource UntagResource"),
    *_actions("logs", "CreateLogDelivery DeleteLogDelivery"),  # of the network's traffic, to a bucket
    *_actions("sns", "CreateTopic DeleteTopic SetTopicAttributes TagResource UntagResource"),
    *_actions("sns", "Subscribe Unsubscribe SetSubscriptionAttributes"),
    *_actions("wafv2", "CreateWebACL DeleteWebACL UpdateWebACL TagResource UntagResource"),
)
_CHANGE_DATABASE = _actions(
    "rds",
    "CreateDBInstance DeleteDBInstance ModifyDBInstance RebootDBInstance CreateDBSnapshot"
    " CreateDBParameterGroup DeleteDBParameterGroup ModifyDBParameterGroup ResetDBParameterGroup"
    " CreateEventSubscription DeleteEventSubscription ModifyEventSubscription"
    " CreateDBSubnetGroup DeleteDBSubnetGroup ModifyDBSubnetGroup AddTagsToResource RemoveTagsFromResource",
)
_CHANGE_LOG_GROUPS = _actions(
    "logs",
    "CreateLogGroup DeleteLogGroup PutRetentionPolicy DeleteRetentionPolicy AssociateKmsKey DisassociateKmsKey"
    " TagResource UntagResource",
)
_CHANGE_BUCKETS = _actions(
    "s3",
    "CreateBucket DeleteBucket DeleteBucketPolicy PutBucket* PutEncryptionConfiguration PutLifecycleConfiguration"
    " TagResource UntagResource",
)
_CHANGE_ROLES = _actions(
    "iam",
    "DeleteRole DeleteRolePolicy DetachRolePolicy TagRole UntagRole UpdateAssumeRolePolicy UpdateRole"
    " UpdateRoleDescription",
)
_CHANGE_ISSUERS = _actions(
    "iam",
    "AddClientIDToOpenIDConnectProvider CreateOpenIDConnectProvider DeleteOpenIDConnectProvider"
    " RemoveClientIDFromOpenIDConnectProvider TagOpenIDConnectProvider UntagOpenIDConnectProvider"
    " UpdateOpenIDConnectProviderThumbprint",
)
_PUSH = _actions(
    "ecr",
    "BatchCheckLayerAvailability BatchGetImage CompleteLayerUpload DescribeImages GetDownloadUrlForLayer"
    " InitiateLayerUpload PutImage UploadLayerPart",
)


def deploy_access(
    *,
    partition: str,
    account: str,
    region: str,
    environment: str,
    state_bucket: str | None = None,
    secrets_key_arn: str | None = None,
    permissions_boundary: str | None = None,
) -> tuple[Allow, ...]:
    """Return what `pulumi up` and `pulumi destroy` of an environment's programs need.

    It reaches no role outside `role_path`, so neither itself nor another environment's, and no issuer but those of EKS
    clusters. A role it makes may still be given any right by an inline policy: whoever may deploy can so come to
    everything that the account allows. `permissions_boundary` closes that: every role made must then carry it and
    keeps it, and the stacks must set it.
    """
    place = _Place(partition=partition, account=account, region=region)
    cluster, database = cluster_name(environment), database_name(environment)
    parts = tuple(place.arn("eks", f"{kind}/{cluster}/*") for kind in ("nodegroup", "addon", "access-entry"))
    buckets = place.global_arn("s3", f"{bucket_prefix(environment)}*")
    return (
        Allow(actions=_READ_EVERYWHERE, resources=("*",)),
        # The programs name the role they act as; a workflow that has it already assumes it once more.
        Allow(
            actions=("sts:AssumeRole",), resources=(place.account_arn("iam", f"role/{deploy_role_name(environment)}"),)
        ),
        Allow(actions=(*_READ_REGION, *_CHANGE_NETWORK, *_CHANGE_UNNAMED), resources=("*",), conditions=(place.here,)),
        Allow(actions=("eks:*",), resources=(place.arn("eks", f"cluster/{cluster}"), *parts)),
        Allow(actions=("ecr:*",), resources=(place.arn("ecr", f"repository/{PROJECT}/{environment}/*"),)),
        Allow(
            actions=("secretsmanager:*",),
            resources=(place.arn("secretsmanager", f"secret:{secret_prefix(environment)}*"),),
        ),
        Allow(
            actions=_CHANGE_DATABASE,
            resources=tuple(
                place.arn("rds", one)
                # The groups are named by Pulumi; a database is made of one of each kind.
                for one in (f"db:{database}", f"snapshot:{database}-final-*", "es:*", "og:*", "pg:*", "subgrp:*")
            ),
        ),
        Allow(
            actions=_CHANGE_LOG_GROUPS,
            resources=(
                place.arn("logs", f"log-group:/aws/eks/{cluster}/*"),
                place.arn("logs", f"log-group:/aws/rds/instance/{database}/*"),
            ),
        ),
        Allow(actions=(*_READ_BUCKETS, *_CHANGE_BUCKETS), resources=(buckets,)),
        # A bucket that a stack calls deletable is emptied before it is deleted.
        Allow(actions=("s3:DeleteObject", "s3:DeleteObjectVersion"), resources=(f"{buckets}/*",)),
        Allow(
            actions=("budgets:ModifyBudget", "budgets:TagResource", "budgets:UntagResource"),
            resources=(place.account_arn("budgets", "budget/*"),),
        ),
        Allow(
            # The latter two: private names of endpoints in the VPC.
            actions=_actions(
                "route53", "ChangeResourceRecordSets AssociateVPCWithHostedZone DisassociateVPCFromHostedZone"
            ),
            resources=(place.global_arn("route53", "hostedzone/*"), place.arn("ec2", "vpc/*")),
        ),
        place.public_parameters,
        *_make_roles(place, environment, permissions_boundary),
        Allow(
            actions=(*_READ_ISSUERS, *_CHANGE_ISSUERS),
            resources=(place.cluster_issuers,),
        ),
        *_state(place, state_bucket, write=environment),
        *_secrets_key(secrets_key_arn, "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt"),
    )


def preview_access(
    *, partition: str, account: str, region: str, state_bucket: str | None = None, secrets_key_arn: str | None = None
) -> tuple[Allow, ...]:
    """Return what `pulumi preview` of every environment reads; it changes nothing.

    Who may open a pull request from a branch of the repository may run any code with it, so what it reads is what they
    can read: how everything of the services in use is set up in the region; the Pulumi state of all environments and,
    through the secrets key, the secrets in it, generated passwords among them. It reads no secret in Secrets Manager,
    since no program looks one up and a preview asks AWS for none, and no object of the platform's buckets. Helm's
    release secrets, and all others, it reads through the cluster, once a stack names its role in
    `cluster.preview_role`.
    """
    place = _Place(partition=partition, account=account, region=region)
    return (
        Allow(actions=_READ_EVERYWHERE, resources=("*",)),
        Allow(actions=_READ_REGION, resources=("*",), conditions=(place.here,)),
        Allow(actions=_READ_BUCKETS, resources=(place.global_arn("s3", f"{PROJECT}-*"),)),
        place.public_parameters,
        Allow(actions=_READ_ROLES, resources=(place.account_arn("iam", f"role/{PROJECT}/*"),)),
        Allow(actions=_READ_ISSUERS, resources=(place.cluster_issuers,)),
        *_state(place, state_bucket, write=None),
        *_secrets_key(secrets_key_arn, "kms:Decrypt", "kms:DescribeKey"),
    )


def image_push_access(*, partition: str, account: str, region: str) -> tuple[Allow, ...]:
    """Return what pushes images to the platform's repositories, and reads them as a build's cache."""
    place = _Place(partition=partition, account=account, region=region)
    return (
        Allow(actions=("ecr:GetAuthorizationToken",), resources=("*",), conditions=(place.here,)),
        Allow(actions=_PUSH, resources=(place.arn("ecr", f"repository/{PROJECT}/*"),)),
    )


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Partition, account and region of the grants, and the ARNs of what lies there."""

    partition: str
    account: str
    region: str

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def account_arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}::{self.account}:{resource}"

    def global_arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:::{resource}"

    @property
    def here(self) -> Condition:
        return Condition(operator="StringEquals", key="aws:RequestedRegion", values=(self.region,))

    @property
    def cluster_issuers(self) -> str:
        """Return patterns of whole host names: one that ends in the region would match a foreign domain too."""
        suffix = "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"
        return self.account_arn("iam", f"oidc-provider/oidc.eks.{self.region}.{suffix}/id/*")

    @property
    def public_parameters(self) -> Allow:
        """Return the right to read the parameters in which AWS publishes machine images."""
        return Allow(
            actions=("ssm:GetParameter", "ssm:GetParameters"),
            resources=(f"arn:{self.partition}:ssm:{self.region}::parameter/aws/service/*",),
        )


def _make_roles(place: _Place, environment: str, boundary: str | None) -> tuple[Allow, ...]:
    roles = (place.account_arn("iam", f"role{role_path(environment)}*"),)
    service_roles = (place.account_arn("iam", "role/aws-service-role/*"),)
    attachable = tuple(f"arn:{place.partition}:iam::aws:policy/{name}" for name in ATTACHABLE_POLICIES)
    bounded: tuple[Condition, ...] = ()
    if boundary:
        bounded = (Condition(operator="StringEquals", key="iam:PermissionsBoundary", values=(boundary,)),)
    return (
        Allow(
            actions=(*_READ_ROLES, *_CHANGE_ROLES),
            resources=roles,
        ),
        Allow(
            actions=("iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"),
            resources=roles,
            conditions=bounded,
        ),
        Allow(
            actions=("iam:AttachRolePolicy",),
            resources=roles,
            conditions=(Condition(operator="StringLike", key="iam:PolicyARN", values=attachable), *bounded),
        ),
        Allow(
            actions=("iam:PassRole",),
            resources=roles,
            conditions=(Condition(operator="StringEquals", key="iam:PassedToService", values=PASSED_TO),),
        ),
        Allow(actions=("iam:GetRole",), resources=service_roles),
        Allow(
            actions=("iam:CreateServiceLinkedRole",),
            resources=service_roles,
            conditions=(Condition(operator="StringEquals", key="iam:AWSServiceName", values=SERVICE_LINKED),),
        ),
    )


def _state(place: _Place, bucket: str | None, *, write: str | None) -> tuple[Allow, ...]:
    """Return access to Pulumi's state: to read all of it, or to read and write that of the environment `write`.

    The layout is that of https://github.com/pulumi/pulumi/blob/master/pkg/backend/diy/store.go: a file
    `stacks/<project>/<stack>.json` and folders `{history,backups,journal,locks/...}/<project>/<stack>/`.
    """
    if bucket is None:
        return ()
    top = place.global_arn("s3", bucket)
    listing = Allow(actions=("s3:GetBucketLocation", "s3:ListBucket"), resources=(top,))
    if write is None:
        return (listing, Allow(actions=("s3:GetObject",), resources=(f"{top}/{STATE}/*",)))
    platform, workloads = platform_project(), workloads_project()
    # A role's policy is short: where one name begins with the other, as here, its pattern is both's.
    projects = (platform,) if workloads.startswith(platform) else (platform, workloads)
    own = (
        f"{top}/{STATE}/meta.yaml",
        *(
            f"{top}/{STATE}/{path}"
            for project in projects
            for path in (f"stacks/{project}*/{write}.*", f"*/{project}*/{write}/*")
        ),
    )
    return (listing, Allow(actions=("s3:DeleteObject", "s3:GetObject", "s3:PutObject"), resources=own))


def _secrets_key(arn: str | None, *actions: str) -> tuple[Allow, ...]:
    return (Allow(actions=actions, resources=(arn,)),) if arn else ()

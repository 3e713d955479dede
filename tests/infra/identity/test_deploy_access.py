import json
import re
from functools import cache

import pytest

from infra.identity.deploy_access import deploy_access, image_push_access, preview_access
from infra.identity.iam import plain_policy_document
from tests import builders
from tests.iam_evaluator import allows

ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/state"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
PLACE = {"partition": "aws", "account": ACCOUNT, "region": "us-east-1"}
STATE = {"state_bucket": "team-state", "secrets_key_arn": KEY}
HERE = {"aws:RequestedRegion": "us-east-1"}
INLINE_POLICY_LIMIT = 10_240
"""Characters without white space
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html)."""


def document(allow):
    return json.loads(plain_policy_document(allow))


def deployer(environment="dev", **more):
    return document(deploy_access(**PLACE, **STATE, environment=environment, **more))


def iam(resource):
    return f"arn:aws:iam::{ACCOUNT}:{resource}"


def here(service, resource):
    return f"arn:aws:{service}:us-east-1:{ACCOUNT}:{resource}"


DEPLOYER = [
    ("ec2:CreateVpc", here("ec2", "vpc/*"), HERE, True),
    ("ec2:CreateVpc", here("ec2", "vpc/*"), {"aws:RequestedRegion": "eu-west-1"}, False),
    ("ec2:PurchaseReservedInstancesOffering", "*", HERE, False),
    ("kms:CreateKey", "*", HERE, True),
    ("kms:Decrypt", KEY, HERE, True),
    ("kms:Decrypt", here("kms", "key/another"), HERE, False),
    ("eks:CreateCluster", here("eks", "cluster/ml-platform-dev"), HERE, True),
    ("eks:DeleteCluster", here("eks", "cluster/ml-platform-prod"), HERE, False),
    ("rds:DeleteDBInstance", here("rds", "db:ml-platform-dev"), HERE, True),
    ("rds:CreateDBSnapshot", here("rds", "snapshot:ml-platform-dev-final-1234"), HERE, True),
    ("rds:DeleteDBInstance", here("rds", "db:ml-platform-prod"), HERE, False),
    ("ecr:PutImage", here("ecr", "repository/ml-platform/dev/mlflow"), HERE, True),
    ("ecr:DeleteRepository", here("ecr", "repository/ml-platform/prod/mlflow"), HERE, False),
    ("secretsmanager:GetSecretValue", here("secretsmanager", "secret:ml-platform/dev/database-1-Ab"), HERE, True),
    ("secretsmanager:GetSecretValue", here("secretsmanager", "secret:ml-platform/prod/database-1-Ab"), HERE, False),
    ("secretsmanager:GetSecretValue", here("secretsmanager", "secret:payroll"), HERE, False),
    ("s3:PutBucketPolicy", "arn:aws:s3:::ml-platform-dev-artifacts-1", {}, True),
    ("s3:DeleteObjectVersion", "arn:aws:s3:::ml-platform-dev-artifacts-1/model", {}, True),
    ("s3:PutBucketPolicy", "arn:aws:s3:::ml-platform-prod-artifacts-1", {}, False),
    ("s3:PutBucketPolicy", "arn:aws:s3:::team-state", {}, False),
    ("s3:ListBucket", "arn:aws:s3:::team-state", {}, True),
    ("s3:PutObject", "arn:aws:s3:::team-state/.pulumi/meta.yaml", {}, True),
    ("s3:PutObject", "arn:aws:s3:::team-state/.pulumi/stacks/ml-platform/dev.json", {}, True),
    ("s3:DeleteObject", "arn:aws:s3:::team-state/.pulumi/locks/organization/ml-platform/dev/1.json", {}, True),
    ("s3:PutObject", "arn:aws:s3:::team-state/.pulumi/history/ml-platform-workloads/dev/dev-1.history.json", {}, True),
    ("s3:GetObject", "arn:aws:s3:::team-state/.pulumi/stacks/ml-platform/prod.json", {}, False),
    ("s3:GetObject", "arn:aws:s3:::team-state/another-file", {}, False),
    ("iam:CreateRole", iam("role/ml-platform/dev/nodes"), {}, True),
    ("iam:CreateRole", iam("role/ml-platform/prod/nodes"), {}, False),
    ("iam:CreateRole", iam("role/nodes"), {}, False),
    ("iam:PutRolePolicy", iam("role/ml-platform-deploy-dev"), {}, False),
    ("iam:UpdateAssumeRolePolicy", iam("role/ml-platform-deploy-dev"), {}, False),
    ("iam:DeleteRole", iam("role/ml-platform-deploy-prod"), {}, False),
    ("iam:UpdateAssumeRolePolicy", iam("role/ml-platform-preview"), {}, False),
    ("iam:CreateUser", iam("user/me"), {}, False),
    ("iam:CreateAccessKey", iam("user/me"), {}, False),
    ("iam:CreatePolicy", iam("policy/all"), {}, False),
    ("iam:AttachRolePolicy", iam("role/ml-platform/dev/nodes"), {
        "iam:PolicyARN": "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"}, True),
    ("iam:AttachRolePolicy", iam("role/ml-platform/dev/nodes"), {
        "iam:PolicyARN": "arn:aws:iam::aws:policy/AdministratorAccess"}, False),
    ("iam:PassRole", iam("role/ml-platform/dev/nodes"), {"iam:PassedToService": "ec2.amazonaws.com"}, True),
    ("iam:PassRole", iam("role/ml-platform/dev/nodes"), {"iam:PassedToService": "lambda.amazonaws.com"}, False),
    ("iam:PassRole", iam("role/admin"), {"iam:PassedToService": "ec2.amazonaws.com"}, False),
    ("iam:CreateServiceLinkedRole", iam("role/aws-service-role/eks.amazonaws.com/AWSServiceRoleForAmazonEKS"), {
        "iam:AWSServiceName": "eks.amazonaws.com"}, True),
    ("iam:CreateServiceLinkedRole", iam("role/aws-service-role/x.amazonaws.com/X"), {
        "iam:AWSServiceName": "x.amazonaws.com"}, False),
    ("iam:CreateOpenIDConnectProvider", iam("oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/1"), {}, True),
    ("iam:CreateOpenIDConnectProvider", iam("oidc-provider/oidc.eks.us-east-1.example.org/id/1"), {}, False),
    ("iam:DeleteOpenIDConnectProvider", iam("oidc-provider/token.actions.githubusercontent.com"), {}, False),
    ("iam:AddClientIDToOpenIDConnectProvider", iam("oidc-provider/token.actions.githubusercontent.com"), {}, False),
    ("sts:AssumeRole", iam("role/admin"), {}, False),
    ("organizations:LeaveOrganization", "*", HERE, False),
]  # fmt: skip


def may(policy, action, resource, context):
    return allows([policy], action=action, resource=resource, context=context)


def label(value):
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(("action", "resource", "context", "allowed"), DEPLOYER, ids=label)
def test_a_deployer_reaches_what_is_its_environments(action, resource, context, allowed):
    assert may(deployer(), action, resource, context) is allowed


def test_every_role_that_a_bounded_deployer_makes_is_bounded_for_good():
    role, bounded = iam("role/ml-platform/dev/nodes"), {"iam:PermissionsBoundary": BOUNDARY}
    policy = deployer(permissions_boundary=BOUNDARY)
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"):
        assert may(policy, action, role, bounded)
        assert not may(policy, action, role, {})
        assert not may(policy, action, role, {"iam:PermissionsBoundary": iam("policy/wider")})
    managed = {"iam:PolicyARN": "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"}
    assert may(policy, "iam:AttachRolePolicy", role, managed | bounded)
    assert not may(policy, "iam:AttachRolePolicy", role, managed)
    assert not may(policy, "iam:DeleteRolePermissionsBoundary", role, bounded)


PREVIEWER = [
    ("ec2:DescribeVpcs", "*", HERE, True),
    ("rds:DescribeDBInstances", "*", HERE, True),
    ("ecr:GetAuthorizationToken", "*", HERE, True),
    ("s3:GetObject", "arn:aws:s3:::team-state/.pulumi/stacks/ml-platform/prod.json", {}, True),
    ("kms:Decrypt", KEY, HERE, True),
    ("secretsmanager:GetSecretValue", here("secretsmanager", "secret:ml-platform/prod/mlflow-login-Ab"), HERE, False),
    ("iam:GetRole", iam("role/ml-platform/dev/nodes"), {}, True),
    ("secretsmanager:GetSecretValue", here("secretsmanager", "secret:payroll"), HERE, False),
    ("s3:GetObject", "arn:aws:s3:::ml-platform-dev-artifacts-1/model", {}, False),
    ("s3:PutObject", "arn:aws:s3:::team-state/.pulumi/stacks/ml-platform/prod.json", {}, False),
    ("kms:Encrypt", KEY, HERE, False),
    ("ec2:CreateVpc", "*", HERE, False),
    ("iam:PassRole", iam("role/ml-platform/dev/nodes"), {"iam:PassedToService": "ec2.amazonaws.com"}, False),
    ("ecr:PutImage", here("ecr", "repository/ml-platform/dev/training"), HERE, False),
]


@pytest.mark.parametrize(("action", "resource", "context", "allowed"), PREVIEWER, ids=label)
def test_a_preview_reads_and_changes_nothing(action, resource, context, allowed):
    assert may(document(preview_access(**PLACE, **STATE)), action, resource, context) is allowed


def test_every_action_of_a_preview_is_one_that_reads():
    reading = re.compile(r"\w+:(Get|List|Describe|View)[A-Za-z*]*|kms:Decrypt")
    actions = [action for one in preview_access(**PLACE, **STATE) for action in one.actions]
    assert [action for action in actions if not reading.fullmatch(action)] == []


PUSHER = [
    ("ecr:GetAuthorizationToken", "*", HERE, True),
    ("ecr:PutImage", here("ecr", "repository/ml-platform/dev/training"), HERE, True),
    ("ecr:UploadLayerPart", here("ecr", "repository/ml-platform/prod/mlflow"), HERE, True),
    ("ecr:PutImage", here("ecr", "repository/shop"), HERE, False),
    ("ecr:DeleteRepository", here("ecr", "repository/ml-platform/dev/training"), HERE, False),
    ("ecr:BatchDeleteImage", here("ecr", "repository/ml-platform/dev/training"), HERE, False),
    ("s3:GetObject", "arn:aws:s3:::team-state/.pulumi/stacks/ml-platform/dev.json", {}, False),
]


@pytest.mark.parametrize(("action", "resource", "context", "allowed"), PUSHER, ids=label)
def test_who_pushes_images_does_nothing_else(action, resource, context, allowed):
    assert may(document(image_push_access(**PLACE)), action, resource, context) is allowed


def test_the_longest_deploy_policy_fits_into_a_role():
    longest = deploy_access(
        partition="aws-us-gov",
        account=ACCOUNT,
        region="ap-southeast-2",
        environment="e" * 16,
        state_bucket="b" * 63,
        secrets_key_arn=f"arn:aws-us-gov:kms:ap-southeast-2:{ACCOUNT}:key/{'k' * 40}",
        permissions_boundary=f"arn:aws-us-gov:iam::{ACCOUNT}:policy/{'p' * 128}",
    )
    assert len(json.dumps(document(longest), separators=(",", ":"))) <= INLINE_POLICY_LIMIT


@pytest.mark.parametrize(
    "policy", [deployer(), document(preview_access(**PLACE)), document(image_push_access(**PLACE))]
)
def test_no_grant_is_of_every_service_or_of_every_resource_of_a_service(policy):
    for statement in policy["Statement"]:
        whole_services = [action for action in statement["Action"] if action == "*" or action.endswith(":*")]
        assert not (whole_services and "*" in statement["Resource"])


def test_without_a_state_bucket_and_a_key_there_is_no_access_to_any():
    policy = document(deploy_access(**PLACE, environment="dev"))
    assert not may(policy, "kms:Decrypt", KEY, HERE)
    assert not may(policy, "s3:GetObject", "arn:aws:s3:::team-state/.pulumi/meta.yaml", {})


# What Pulumi's provider calls to make and to delete a resource of each type.
CALLS = {
    "aws:acm/certificate:Certificate": "acm:RequestCertificate acm:DeleteCertificate",
    "aws:acm/certificateValidation:CertificateValidation": "acm:DescribeCertificate",
    "aws:autoscaling/tag:Tag": "autoscaling:CreateOrUpdateTags autoscaling:DeleteTags",
    "aws:budgets/budget:Budget": "budgets:ModifyBudget budgets:ViewBudget",
    "aws:cloudwatch/eventRule:EventRule": "events:PutRule events:DescribeRule events:DeleteRule",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "cloudwatch:PutMetricAlarm cloudwatch:DeleteAlarms",
    "aws:cloudwatch/logGroup:LogGroup": "logs:CreateLogGroup logs:PutRetentionPolicy logs:DeleteLogGroup",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "ec2:RevokeSecurityGroupIngress ec2:RevokeSecurityGroupEgress",
    "aws:ec2/eip:Eip": "ec2:AllocateAddress ec2:ReleaseAddress",
    "aws:ec2/flowLog:FlowLog": "ec2:CreateFlowLogs logs:CreateLogDelivery ec2:DeleteFlowLogs logs:DeleteLogDelivery",
    "aws:ec2/internetGateway:InternetGateway": "ec2:CreateInternetGateway ec2:AttachInternetGateway"
    " ec2:DetachInternetGateway ec2:DeleteInternetGateway",
    "aws:ec2/launchTemplate:LaunchTemplate": "ec2:CreateLaunchTemplate ec2:CreateLaunchTemplateVersion"
    " ec2:DeleteLaunchTemplate",
    "aws:ec2/natGateway:NatGateway": "ec2:CreateNatGateway ec2:DeleteNatGateway",
    "aws:ec2/route:Route": "ec2:CreateRoute ec2:DeleteRoute",
    "aws:ec2/routeTable:RouteTable": "ec2:CreateRouteTable ec2:DeleteRouteTable",
    "aws:ec2/routeTableAssociation:RouteTableAssociation": "ec2:AssociateRouteTable ec2:DisassociateRouteTable",
    "aws:ec2/securityGroup:SecurityGroup": "ec2:CreateSecurityGroup ec2:DeleteSecurityGroup",
    "aws:ec2/subnet:Subnet": "ec2:CreateSubnet ec2:ModifySubnetAttribute ec2:DeleteSubnet",
    "aws:ec2/vpc:Vpc": "ec2:CreateVpc ec2:ModifyVpcAttribute ec2:CreateTags ec2:DeleteVpc",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "ec2:CreateVpcEndpoint ec2:ModifyVpcEndpoint ec2:DeleteVpcEndpoints",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": "ecr:PutLifecyclePolicy ecr:DeleteLifecyclePolicy",
    "aws:ecr/repository:Repository": "ecr:CreateRepository ecr:PutImageTagMutability ecr:DeleteRepository",
    "aws:eks/accessEntry:AccessEntry": "eks:CreateAccessEntry eks:DeleteAccessEntry",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": "eks:AssociateAccessPolicy eks:DisassociateAccessPolicy",
    "aws:eks/addon:Addon": "eks:CreateAddon eks:DeleteAddon",
    "aws:eks/cluster:Cluster": "eks:CreateCluster eks:UpdateClusterConfig eks:DeleteCluster",
    "aws:eks/nodeGroup:NodeGroup": "eks:CreateNodegroup eks:UpdateNodegroupVersion eks:DeleteNodegroup",
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": "iam:CreateOpenIDConnectProvider"
    " iam:TagOpenIDConnectProvider iam:DeleteOpenIDConnectProvider",
    "aws:iam/role:Role": "iam:CreateRole iam:TagRole iam:ListInstanceProfilesForRole iam:DeleteRole",
    "aws:iam/rolePolicy:RolePolicy": "iam:PutRolePolicy iam:DeleteRolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "iam:AttachRolePolicy iam:DetachRolePolicy",
    "aws:kms/key:Key": "kms:CreateKey kms:EnableKeyRotation kms:CreateGrant kms:ScheduleKeyDeletion",
    "aws:rds/eventSubscription:EventSubscription": "rds:CreateEventSubscription rds:DeleteEventSubscription",
    "aws:rds/instance:Instance": "rds:CreateDBInstance rds:ModifyDBInstance rds:DeleteDBInstance",
    "aws:rds/parameterGroup:ParameterGroup": "rds:CreateDBParameterGroup rds:ModifyDBParameterGroup"
    " rds:DeleteDBParameterGroup",
    "aws:rds/subnetGroup:SubnetGroup": "rds:CreateDBSubnetGroup rds:DeleteDBSubnetGroup",
    "aws:route53/record:Record": "route53:ChangeResourceRecordSets route53:ListResourceRecordSets",
    "aws:s3/bucket:Bucket": "s3:CreateBucket s3:PutBucketTagging s3:ListBucketVersions s3:DeleteBucket",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "aws:s3/bucketNotification:BucketNotification": "s3:PutBucketNotification",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "aws:s3/bucketPolicy:BucketPolicy": "s3:PutBucketPolicy s3:DeleteBucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration":
        "s3:PutEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning": "s3:PutBucketVersioning",
    "aws:secretsmanager/secret:Secret": "secretsmanager:CreateSecret secretsmanager:DeleteSecret",
    "aws:secretsmanager/secretVersion:SecretVersion": "secretsmanager:PutSecretValue secretsmanager:GetSecretValue",
    "aws:sns/topic:Topic": "sns:CreateTopic sns:DeleteTopic",
    "aws:sns/topicPolicy:TopicPolicy": "sns:SetTopicAttributes",
    "aws:sns/topicSubscription:TopicSubscription": "sns:Subscribe sns:Unsubscribe",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "ec2:AuthorizeSecurityGroupEgress"
    " ec2:ModifySecurityGroupRules ec2:RevokeSecurityGroupEgress",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "ec2:AuthorizeSecurityGroupIngress"
    " ec2:ModifySecurityGroupRules ec2:RevokeSecurityGroupIngress",
    "aws:wafv2/webAcl:WebAcl": "wafv2:CreateWebACL wafv2:UpdateWebACL wafv2:DeleteWebACL",
}  # fmt: skip


@cache
def planned(stack):
    """The stack's AWS resources, those of Airflow among them."""
    resources = [one for deployment in builders.planned_with_airflow(stack) for one in deployment.resources.values()]
    return [one for one in resources if one.wanted.type.startswith("aws:")]


def arn_of(resource):
    """The ARN that AWS asks about when the resource is made."""
    service, id_ = resource.wanted.type.split(":")[1].split("/")[0], resource.created.id
    own = {
        "s3": f"arn:aws:s3:::{id_}",
        "route53": "arn:aws:route53:::hostedzone/Z1",
        "ecr": here("ecr", f"repository/{id_}"),
        "eks": here("eks", f"cluster/{id_.partition(':')[0]}"),
        "secretsmanager": id_.partition("|")[0],
        "iam": iam(f"role/ml-platform/{resource.wanted.urn.split(':')[2]}/{id_.partition(':')[0]}"),
    }
    return resource.created.outputs.get("arn") or own.get(service, here(service, id_))


def refused(stack):
    policy = deployer(stack)
    return [
        f"{action} on {arn_of(one)}"
        for one in planned(stack)
        for action in CALLS[one.wanted.type].split()
        if not may(policy, action, arn_of(one), HERE | {"iam:PolicyARN": str(one.wanted.inputs.get("policyArn"))})
    ]


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_deployer_may_make_and_delete_all_that_the_committed_stacks_hold(stack):
    assert refused(stack) == []

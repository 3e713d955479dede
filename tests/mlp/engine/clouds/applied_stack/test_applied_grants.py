"""What the roles of an applied stack may do: documents read back through boto3 and judged as IAM judges them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from mlp.engine.cloud import ACCOUNT
from tests.iam_evaluator import allows
from tests.mlp.engine.clouds.applied import REGION, Applied, tags
from tests.mlp.engine.clouds.applied_stack.roles import MANAGED_POLICIES, SERVICE_ACCOUNTS, grants_of


@dataclass(frozen=True)
class Request:
    """What a role may ask for; places like `{artifacts}` are filled in from the applied stack."""

    action: str
    resource: str = "*"
    context: Mapping[str, str] = field(default_factory=dict)


def listing(bucket: str, prefix: str) -> Request:
    return Request("s3:ListBucket", bucket, {"s3:prefix": prefix})


NO_ONES_BUSINESS = (
    Request("s3:PutBucketPolicy", "{artifacts}"),
    Request("s3:PutLifecycleConfiguration", "{artifacts}"),
    Request("s3:DeleteBucket", "{datasets}"),
    Request("s3:PutBucketVersioning", "{artifacts}"),
    Request("s3:DeleteObjectVersion", "{artifacts}/mlflow/1/model.pt"),
    Request("s3:DeleteObjectVersion", "{artifacts}/checkpoints/run/1.pt"),
    Request("s3:DeleteObjectVersion", "{datasets}/digits/train.bin"),
    Request("s3:GetObject", "arn:aws:s3:::someone-elses/mlflow/1"),
    Request("s3:ListAllMyBuckets"),
    Request("iam:PassRole", "arn:aws:iam::123456789012:role/ml-platform/dev/nodes"),
    Request("iam:PutRolePolicy", "arn:aws:iam::123456789012:role/ml-platform/dev/nodes"),
    Request("iam:CreateServiceLinkedRole", "*", {"iam:AWSServiceName": "spot.amazonaws.com"}),
    Request("sts:AssumeRole", "arn:aws:iam::123456789012:role/ml-platform/dev/nodes"),
    Request("rds:DeleteDBInstance", "arn:aws:rds:us-east-1:123456789012:db:ml-platform-dev"),
    Request("eks:DeleteCluster", "arn:aws:eks:us-east-1:123456789012:cluster/ml-platform-dev"),
    Request("ec2:RunInstances"),
    Request("ec2:TerminateInstances"),
    Request("kms:Decrypt", "{key}"),
    Request("secretsmanager:PutSecretValue", "{secret}"),
    Request("secretsmanager:DeleteSecret", "{secret}"),
    Request("logs:DeleteLogGroup"),
)
"""Denied to every role of a service account."""

LOAD_BALANCER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/1"
TARGETS = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/1"
NETWORK_LOAD_BALANCER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/web/1"
LISTENER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/web/1/2"
FIREWALL = "arn:aws:ec2:us-east-1:123456789012:security-group/sg-1"
OWN, OTHERS = "{cluster}", "ml-platform-other"


def of_cluster(name: str) -> dict[str, str]:
    """The context of what carries the controller's tag."""
    return {"aws:ResourceTag/elbv2.k8s.aws/cluster": name}


def asked_for_cluster(name: str, **more: str) -> dict[str, str]:
    return {"aws:RequestTag/elbv2.k8s.aws/cluster": name, **more}


SECRET_OF_OTHERS = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:ml-platform/other/database-login-AbCdEf"

ALLOWED: dict[str, list[Request]] = {
    "mlflow-identity": [
        Request("s3:GetObject", "{artifacts}/mlflow/1/model.pt"),
        Request("s3:PutObject", "{artifacts}/mlflow/1/model.pt"),
        Request("s3:DeleteObject", "{artifacts}/mlflow/1/model.pt"),
        Request("s3:AbortMultipartUpload", "{artifacts}/mlflow/1/model.pt"),
        listing("{artifacts}", "mlflow"),
        listing("{artifacts}", "mlflow/1/"),
    ],
    "training-identity": [
        Request("s3:GetObject", "{datasets}/digits/train.bin"),
        listing("{datasets}", "digits/"),
        Request("s3:ListBucket", "{datasets}"),
        Request("s3:GetObject", "{artifacts}/checkpoints/run/1.pt"),
        Request("s3:PutObject", "{artifacts}/checkpoints/run/1.pt"),
        Request("s3:DeleteObject", "{artifacts}/checkpoints/run/1.pt"),
        listing("{artifacts}", "checkpoints/run/"),
    ],
    "airflow-worker-identity": [
        Request("s3:GetObject", "{logs}/airflow/dag/1.log"),
        Request("s3:PutObject", "{logs}/airflow/dag/1.log"),
        listing("{logs}", "airflow/"),
        Request("s3:GetObject", "{datasets}/digits/train.bin"),
        Request("s3:PutObject", "{datasets}/digits/train.bin"),
        Request("s3:DeleteObject", "{datasets}/digits/train.bin"),
    ],
    "airflow-triggerer-identity": [
        Request("s3:PutObject", "{logs}/airflow/dag/1.log"),
        listing("{logs}", "airflow/"),
    ],
    "airflow-api-server-identity": [
        Request("s3:GetObject", "{logs}/airflow/dag/1.log"),
        listing("{logs}", "airflow/dag/"),
    ],
    "alertmanager-identity": [Request("sns:Publish", "{alerts}")],
    "grafana-identity": [Request("cloudwatch:GetMetricData", "*", {"aws:RequestedRegion": "us-east-1"})],
    "load-balancer-controller-identity": [
        Request("elasticloadbalancing:DescribeLoadBalancers"),
        Request("ec2:DescribeSubnets"),
        Request("acm:DescribeCertificate"),
        Request("wafv2:AssociateWebACL"),
        Request("iam:CreateServiceLinkedRole", "*", {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}),
        Request("elasticloadbalancing:CreateLoadBalancer", LOAD_BALANCER, asked_for_cluster(OWN)),
        Request("elasticloadbalancing:CreateTargetGroup", TARGETS, asked_for_cluster(OWN)),
        Request(
            "elasticloadbalancing:AddTags",
            LOAD_BALANCER,
            asked_for_cluster(OWN, **{"elasticloadbalancing:CreateAction": "CreateLoadBalancer"}),
        ),
        Request("elasticloadbalancing:AddTags", TARGETS, of_cluster(OWN)),
        Request("elasticloadbalancing:CreateListener", LOAD_BALANCER, of_cluster(OWN)),
        Request("elasticloadbalancing:DeleteLoadBalancer", LOAD_BALANCER, of_cluster(OWN)),
        Request("elasticloadbalancing:RegisterTargets", TARGETS, of_cluster(OWN)),
        Request("elasticloadbalancing:SetWebAcl", LOAD_BALANCER, of_cluster(OWN)),
        Request("elasticloadbalancing:ModifyListener", LISTENER),
        Request("ec2:CreateSecurityGroup", FIREWALL),
        Request("ec2:CreateTags", FIREWALL, asked_for_cluster(OWN, **{"ec2:CreateAction": "CreateSecurityGroup"})),
        Request("ec2:AuthorizeSecurityGroupIngress", FIREWALL, of_cluster(OWN)),
        Request("ec2:DeleteSecurityGroup", FIREWALL, of_cluster(OWN)),
    ],
    "cluster-autoscaler-identity": [
        Request("autoscaling:DescribeAutoScalingGroups"),
        Request("ec2:DescribeInstanceTypes"),
        Request("eks:DescribeNodegroup", "arn:aws:eks:us-east-1:123456789012:nodegroup/{cluster}/core/1"),
    ],
    "external-secrets-identity": [
        Request("secretsmanager:GetSecretValue", "{secret}"),
        Request("secretsmanager:DescribeSecret", "{secret}"),
    ],
}

DENIED: dict[str, list[Request]] = {
    "mlflow-identity": [
        Request("s3:GetObject", "{artifacts}/checkpoints/run/1.pt"),
        Request("s3:GetObject", "{artifacts}/mlflow-old/1"),
        Request("s3:PutObject", "{artifacts}/model.pt"),
        Request("s3:ListBucket", "{artifacts}"),
        listing("{artifacts}", ""),
        listing("{artifacts}", "checkpoints/"),
        Request("s3:GetObject", "{datasets}/mlflow/train.bin"),
        listing("{datasets}", "mlflow/"),
        Request("s3:GetObject", "{logs}/mlflow/1.log"),
        Request("secretsmanager:GetSecretValue", "{secret}"),
    ],
    "training-identity": [
        Request("s3:PutObject", "{artifacts}/registry/digits-classifier/00000001.json", {"s3:if-none-match": "*"}),
        Request("s3:DeleteObject", "{artifacts}/registry/digits-classifier/00000001.json"),
        Request("s3:PutObject", "{datasets}/digits/train.bin"),
        Request("s3:DeleteObject", "{datasets}/digits/train.bin"),
        Request("s3:GetObject", "{artifacts}/mlflow/1/model.pt"),
        Request("s3:PutObject", "{artifacts}/mlflow/1/model.pt"),
        Request("s3:DeleteObject", "{artifacts}/mlflow/1/model.pt"),
        listing("{artifacts}", "mlflow/"),
        Request("s3:ListBucket", "{artifacts}"),
        Request("s3:GetObject", "{logs}/airflow/dag/1.log"),
        Request("secretsmanager:GetSecretValue", "{secret}"),
    ],
    "airflow-worker-identity": [
        Request("s3:GetObject", "{logs}/AWSLogs/123456789012/vpcflowlogs/1.parquet"),
        Request("s3:PutObject", "{logs}/AWSLogs/123456789012/vpcflowlogs/1.parquet"),
        listing("{logs}", "AWSLogs/"),
        Request("s3:GetObject", "{artifacts}/mlflow/1/model.pt"),
        Request("s3:PutObject", "{artifacts}/checkpoints/run/1.pt"),
        Request("secretsmanager:GetSecretValue", "{secret}"),
    ],
    "airflow-triggerer-identity": [
        Request("s3:PutObject", "{logs}/AWSLogs/123456789012/vpcflowlogs/1.parquet"),
        Request("s3:GetObject", "{datasets}/digits/train.bin"),
    ],
    "alertmanager-identity": [
        Request("sns:Publish", "arn:aws:sns:us-east-1:123456789012:another"),
        Request("sns:SetTopicAttributes", "{alerts}"),
        Request("s3:GetObject", "{logs}/airflow/dag/1.log"),
    ],
    "grafana-identity": [
        Request("cloudwatch:GetMetricData", "*", {"aws:RequestedRegion": "eu-west-1"}),
        Request("cloudwatch:PutMetricData", "*", {"aws:RequestedRegion": "us-east-1"}),
        Request("logs:StartQuery", "*", {"aws:RequestedRegion": "us-east-1"}),
    ],
    "airflow-api-server-identity": [
        Request("s3:PutObject", "{logs}/airflow/dag/1.log"),
        Request("s3:DeleteObject", "{logs}/airflow/dag/1.log"),
        Request("s3:GetObject", "{logs}/AWSLogs/123456789012/vpcflowlogs/1.parquet"),
        Request("s3:GetObject", "{datasets}/digits/train.bin"),
        Request("secretsmanager:GetSecretValue", "{secret}"),
    ],
    "load-balancer-controller-identity": [
        Request("iam:CreateServiceLinkedRole", "*", {"iam:AWSServiceName": "autoscaling.amazonaws.com"}),
        Request("elasticloadbalancing:CreateLoadBalancer", LOAD_BALANCER),
        Request("elasticloadbalancing:CreateLoadBalancer", LOAD_BALANCER, asked_for_cluster(OTHERS)),
        Request(
            "elasticloadbalancing:AddTags",
            LOAD_BALANCER,
            asked_for_cluster(OTHERS, **{"elasticloadbalancing:CreateAction": "CreateLoadBalancer"}),
        ),
        # It may not call what is another's its own.
        Request("elasticloadbalancing:AddTags", LOAD_BALANCER, of_cluster(OTHERS) | asked_for_cluster(OWN)),
        Request("elasticloadbalancing:AddTags", LOAD_BALANCER, asked_for_cluster(OWN)),
        Request("elasticloadbalancing:AddTags", NETWORK_LOAD_BALANCER, of_cluster(OWN)),
        Request("elasticloadbalancing:CreateListener", LOAD_BALANCER, of_cluster(OTHERS)),
        Request("elasticloadbalancing:DeleteLoadBalancer", LOAD_BALANCER, of_cluster(OTHERS)),
        Request("elasticloadbalancing:DeleteLoadBalancer", LOAD_BALANCER),
        Request("elasticloadbalancing:RegisterTargets", TARGETS, of_cluster(OTHERS)),
        Request("ec2:AuthorizeSecurityGroupIngress", FIREWALL),
        Request("ec2:AuthorizeSecurityGroupIngress", FIREWALL, of_cluster(OTHERS)),
        Request(
            "ec2:AuthorizeSecurityGroupIngress",
            FIREWALL,
            {f"aws:ResourceTag/kubernetes.io/cluster/{OTHERS}": "owned"},
        ),
        Request("ec2:AuthorizeSecurityGroupEgress", FIREWALL, of_cluster(OWN)),
        Request("ec2:DeleteSecurityGroup", FIREWALL, {"aws:ResourceTag/kubernetes.io/cluster/{cluster}": "owned"}),
        Request("ec2:CreateTags", FIREWALL, asked_for_cluster(OWN)),
        Request(
            "ec2:CreateTags",
            "arn:aws:ec2:us-east-1:123456789012:instance/i-1",
            asked_for_cluster(OWN, **{"ec2:CreateAction": "CreateSecurityGroup"}),
        ),
        Request("wafv2:DeleteWebACL"),
        Request("acm:DeleteCertificate"),
        Request("s3:GetObject", "{artifacts}/mlflow/1/model.pt"),
        Request("secretsmanager:GetSecretValue", "{secret}"),
    ],
    "cluster-autoscaler-identity": [
        Request("autoscaling:SetDesiredCapacity"),
        Request("autoscaling:UpdateAutoScalingGroup"),
        Request("autoscaling:DeleteAutoScalingGroup"),
        Request("eks:UpdateNodegroupConfig", "arn:aws:eks:us-east-1:123456789012:nodegroup/{cluster}/core/1"),
        Request("s3:GetObject", "{artifacts}/mlflow/1/model.pt"),
        Request("secretsmanager:GetSecretValue", "{secret}"),
    ],
    "external-secrets-identity": [
        Request("secretsmanager:GetSecretValue", SECRET_OF_OTHERS),
        Request("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:other-AbCdEf"),
        Request("secretsmanager:ListSecrets"),
        Request("s3:GetObject", "{artifacts}/mlflow/1/model.pt"),
    ],
}


class Judge:
    """Decides what a role of an applied stack may do."""

    def __init__(self, applied: Applied, role: str) -> None:
        outputs = applied.outputs
        kinds = {"artifacts": "artifact", "datasets": "dataset", "logs": "log"}
        self._documents = grants_of(applied, role)
        self._places = {
            "alerts": applied.outputs["alert_topic_arn"],
            **{name: f"arn:aws:s3:::{outputs[f'{kind}_bucket']}" for name, kind in kinds.items()},
            "cluster": outputs["cluster_name"],
            "secret": outputs["database_secret_arn"],
            "key": applied.client("kms").list_keys()["Keys"][0]["KeyArn"],
        }

    def allows(self, request: Request) -> bool:
        return allows(
            self._documents,
            action=request.action,
            resource=self._placed(request.resource),
            context={self._placed(key): self._placed(value) for key, value in request.context.items()},
        )

    def _placed(self, text: str) -> str:
        return text.format(**self._places)


@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_may_do_its_work(applied: Applied, role: str) -> None:
    judge = Judge(applied, role)

    assert [request for request in ALLOWED[role] if not judge.allows(request)] == []


@pytest.mark.parametrize("role", DENIED)
def test_a_role_may_do_no_more(applied: Applied, role: str) -> None:
    judge = Judge(applied, role)

    assert [request for request in (*DENIED[role], *NO_ONES_BUSINESS) if judge.allows(request)] == []


def test_every_role_of_a_service_account_has_its_tables() -> None:
    assert set(ALLOWED) == set(DENIED) == set(SERVICE_ACCOUNTS) - set(MANAGED_POLICIES)


def resource_tags(described: dict[str, Any]) -> dict[str, str]:
    """A request's context as AWS makes it of the tags of what is asked for."""
    return {f"aws:ResourceTag/{key}": value for key, value in tags(described).items()}


@pytest.mark.parametrize(
    "action", ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
)
def test_the_autoscaler_sizes_the_pools_of_its_cluster_and_no_others(applied: Applied, action: str) -> None:
    judge = Judge(applied, "cluster-autoscaler-identity")
    for pool in ("core", "gpu"):
        group = applied.scaling_group(pool)
        own = resource_tags(group)
        others = {key.replace(f"ml-platform-{applied.stack}", OTHERS): value for key, value in own.items()}
        for context, granted in ((own, True), (others, False)):
            request = Request(action, group["AutoScalingGroupARN"], context)
            assert judge.allows(request) is granted


def test_the_load_balancer_controller_opens_the_nodes_to_its_load_balancers_and_not_the_database(
    applied: Applied,
) -> None:
    cluster = applied.only("aws:eks/cluster:Cluster").created
    assert cluster is not None
    nodes = cluster.outputs["vpcConfig"]["clusterSecurityGroupId"]
    database = applied.id("aws:ec2/securityGroup:SecurityGroup", "database-access")
    judge = Judge(applied, "load-balancer-controller-identity")
    for id_, granted in ((nodes, True), (database, False)):
        firewall = applied.security_group(id_)
        request = Request("ec2:AuthorizeSecurityGroupIngress", firewall["SecurityGroupArn"], resource_tags(firewall))
        assert judge.allows(request) is granted


def test_external_secrets_read_every_secret_of_their_environment_and_none_of_anothers(applied: Applied) -> None:
    secrets = [one["ARN"] for one in applied.client("secretsmanager").list_secrets()["SecretList"]]
    judge = Judge(applied, "external-secrets-identity")
    assert len(secrets) >= 6

    for arn in secrets:
        others = arn.replace(f"ml-platform/{applied.stack}/", "ml-platform/other/")
        for resource, granted in ((arn, True), (others, False)):
            request = Request("secretsmanager:GetSecretValue", resource)
            assert judge.allows(request) is granted

"""Grants of the cluster's controllers in AWS, each limited to what carries its cluster's name.

Sources: the policies that the controllers' own documentation gives
(https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/installation/,
https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/cloudprovider/aws/README.md), narrowed.
"""

from __future__ import annotations

import pulumi

from infra.environment import Environment
from infra.identity.iam import Allow, Condition

_LOAD_BALANCER_TAG = "elbv2.k8s.aws/cluster"


def load_balancer_access(environment: Environment) -> tuple[Allow, ...]:
    """Return what the AWS Load Balancer Controller needs for application load balancers.

    Its chart must switch off Shield and the classic WAF, for which nothing is granted.
    """
    partition, cluster_name = environment.partition, environment.cluster_name
    requested = Condition(operator="StringEquals", key=f"aws:RequestTag/{_LOAD_BALANCER_TAG}", values=(cluster_name,))
    own = Condition(operator="StringEquals", key=f"aws:ResourceTag/{_LOAD_BALANCER_TAG}", values=(cluster_name,))
    not_requested = Condition(operator="Null", key=f"aws:RequestTag/{_LOAD_BALANCER_TAG}", values=("true",))
    of_nodes = Condition(
        operator="StringEquals", key=f"aws:ResourceTag/kubernetes.io/cluster/{cluster_name}", values=("owned",)
    )
    on_creation = Condition(
        operator="StringEquals",
        key="elasticloadbalancing:CreateAction",
        values=("CreateTargetGroup", "CreateLoadBalancer"),
    )

    def elb(*kinds: str) -> tuple[pulumi.Input[str], ...]:
        return tuple(pulumi.Output.format("arn:{0}:elasticloadbalancing:*:*:{1}/*", partition, one) for one in kinds)

    firewalls = (pulumi.Output.format("arn:{0}:ec2:*:*:security-group/*", partition),)
    created_group = Condition(operator="StringEquals", key="ec2:CreateAction", values=("CreateSecurityGroup",))
    rules = ("ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress")
    return (
        Allow(
            actions=("iam:CreateServiceLinkedRole",),
            resources=("*",),
            conditions=(
                Condition(
                    operator="StringEquals",
                    key="iam:AWSServiceName",
                    values=("elasticloadbalancing.amazonaws.com",),
                ),
            ),
        ),
        Allow(
            actions=(
                "acm:DescribeCertificate",
                "acm:ListCertificates",
                "ec2:DescribeAccountAttributes",
                "ec2:DescribeAvailabilityZones",
                "ec2:DescribeInstances",
                "ec2:DescribeInternetGateways",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeRouteTables",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeTags",
                "ec2:DescribeVpcs",
                "ec2:GetSecurityGroupsForVpc",
                "elasticloadbalancing:Describe*",
                "wafv2:AssociateWebACL",
                "wafv2:DisassociateWebACL",
                "wafv2:GetWebACL",
                "wafv2:GetWebACLForResource",
            ),
            resources=("*",),
        ),
        # Firewalls: its own, and the one of the cluster's nodes.
        Allow(actions=("ec2:CreateSecurityGroup",), resources=("*",)),
        Allow(actions=("ec2:CreateTags",), resources=firewalls, conditions=(created_group, requested)),
        Allow(actions=("ec2:CreateTags", "ec2:DeleteTags"), resources=firewalls, conditions=(own, not_requested)),
        Allow(actions=(*rules, "ec2:DeleteSecurityGroup"), resources=("*",), conditions=(own,)),
        Allow(actions=rules, resources=("*",), conditions=(of_nodes,)),
        # Load balancers and target groups: it makes them with the cluster's name on them, and touches no others.
        Allow(
            actions=("elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:CreateTargetGroup"),
            resources=("*",),
            conditions=(requested,),
        ),
        Allow(
            actions=("elasticloadbalancing:AddTags",),
            resources=elb("targetgroup", "loadbalancer/app"),
            conditions=(on_creation, requested),
        ),
        Allow(
            actions=("elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"),
            resources=elb("targetgroup", "loadbalancer/app"),
            conditions=(own, not_requested),
        ),
        Allow(
            actions=(
                "elasticloadbalancing:CreateListener",  # asked of the load balancer it is for
                "elasticloadbalancing:DeleteLoadBalancer",
                "elasticloadbalancing:DeleteTargetGroup",
                "elasticloadbalancing:ModifyLoadBalancerAttributes",
                "elasticloadbalancing:ModifyTargetGroup",
                "elasticloadbalancing:ModifyTargetGroupAttributes",
                "elasticloadbalancing:RegisterTargets",
                "elasticloadbalancing:DeregisterTargets",
                "elasticloadbalancing:SetIpAddressType",
                "elasticloadbalancing:SetSecurityGroups",
                "elasticloadbalancing:SetSubnets",
                "elasticloadbalancing:SetWebAcl",
            ),
            resources=("*",),
            conditions=(own,),
        ),
        # Listeners and their rules take their tags after they are made.
        Allow(
            actions=(
                "elasticloadbalancing:AddListenerCertificates",
                "elasticloadbalancing:AddTags",
                "elasticloadbalancing:CreateRule",
                "elasticloadbalancing:DeleteListener",
                "elasticloadbalancing:DeleteRule",
                "elasticloadbalancing:ModifyListener",
                "elasticloadbalancing:ModifyListenerAttributes",
                "elasticloadbalancing:ModifyRule",
                "elasticloadbalancing:RemoveListenerCertificates",
                "elasticloadbalancing:RemoveTags",
                "elasticloadbalancing:SetRulePriorities",
            ),
            resources=elb("listener/app", "listener-rule/app"),
        ),
    )


def autoscaler_access(environment: Environment) -> tuple[Allow, ...]:
    """Return what the cluster autoscaler needs: to read all groups, and to size those of its cluster."""
    own = Condition(
        operator="StringEquals",
        key=f"aws:ResourceTag/k8s.io/cluster-autoscaler/{environment.cluster_name}",
        values=("owned",),
    )
    return (
        Allow(
            actions=(
                "autoscaling:DescribeAutoScalingGroups",
                "autoscaling:DescribeAutoScalingInstances",
                "autoscaling:DescribeLaunchConfigurations",
                "autoscaling:DescribeScalingActivities",
                "ec2:DescribeImages",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeLaunchTemplateVersions",
                "ec2:GetInstanceTypesFromInstanceRequirements",
                "eks:DescribeNodegroup",
            ),
            resources=("*",),
        ),
        Allow(
            actions=("autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"),
            resources=("*",),
            conditions=(own,),
        ),
    )

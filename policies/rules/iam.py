"""Rules about IAM permissions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from policies.rules.model import Context, Finding, Plan, PlannedResource, Rule, of_type
from policies.rules.reading import at, listed, mappings, pairs, statements, texts

ROLE = "aws:iam/role:Role"
_POLICIES = (
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/policy:Policy",
    "aws:iam/userPolicy:UserPolicy",
    "aws:iam/groupPolicy:GroupPolicy",
)
_ATTACHMENT = re.compile(r"aws:iam/(role|user|group)?[pP]olicyAttachment:")
_TOO_MUCH = re.compile(r"(AdministratorAccess|PowerUserAccess|FullAccess)$")
_SCOPES = re.compile(r"(aws:(resource|request)tag/|iam:awsservicename$)", re.IGNORECASE)
"""Pattern of condition keys that restrict a grant on `*` to some resources."""

_NEW = "asked for what is not there yet, and so has no tag"
_READS = "reads, and AWS checks no resource for it"
_FINDS = "the controller finds by name what it was not told the ARN of"
WILDCARD_ACTIONS: Mapping[str, str] = {"elasticloadbalancing:Describe*": _READS}
"""Actions with a wildcard that may be granted, each with the reason."""
ON_ALL_RESOURCES: Mapping[str, str] = {
    **WILDCARD_ACTIONS,
    "acm:DescribeCertificate": _FINDS,
    "acm:ListCertificates": _READS,
    "autoscaling:DescribeAutoScalingGroups": _READS,
    "autoscaling:DescribeAutoScalingInstances": _READS,
    "autoscaling:DescribeLaunchConfigurations": _READS,
    "autoscaling:DescribeScalingActivities": _READS,
    "ec2:CreateSecurityGroup": _NEW,
    "cloudwatch:GetMetricData": _READS,
    "cloudwatch:ListMetrics": _READS,
    "ec2:DescribeAccountAttributes": _READS,
    "ec2:DescribeAvailabilityZones": _READS,
    "ec2:DescribeImages": _READS,
    "ec2:DescribeInstanceTypes": _READS,
    "ec2:DescribeInstances": _READS,
    "ec2:DescribeInternetGateways": _READS,
    "ec2:DescribeLaunchTemplateVersions": _READS,
    "ec2:DescribeNetworkInterfaces": _READS,
    "ec2:DescribeRouteTables": _READS,
    "ec2:DescribeSecurityGroups": _READS,
    "ec2:DescribeSubnets": _READS,
    "ec2:DescribeTags": _READS,
    "ec2:DescribeVpcs": _READS,
    "ec2:GetInstanceTypesFromInstanceRequirements": _READS,
    "ec2:GetSecurityGroupsForVpc": _FINDS,
    "ecr:GetAuthorizationToken": "a login to the registry as a whole; what it opens is granted by repository",
    "eks:DescribeNodegroup": _FINDS,
    "wafv2:AssociateWebACL": "the load balancer it is for is made by the controller itself",
    "wafv2:DisassociateWebACL": "the load balancer it is for is made by the controller itself",
    "wafv2:GetWebACL": _FINDS,
    "wafv2:GetWebACLForResource": _FINDS,
}
"""Actions that may be granted on `*` without a condition, each with the reason
(https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html)."""


def _documents(resource: PlannedResource) -> list[Any]:
    if resource.type in _POLICIES:
        return [at(resource.properties, "policy")]
    if resource.type == ROLE:
        return [at(one, "policy") for one in mappings(at(resource.properties, "inlinePolicies"))]
    return []


def _attached(resource: PlannedResource) -> list[str]:
    if _ATTACHMENT.match(resource.type):
        return texts(at(resource.properties, "policyArn"))
    return texts(at(resource.properties, "managedPolicyArns")) if resource.type == ROLE else []


def _no_wildcard_grants(plan: Plan, _context: Context) -> Iterator[Finding]:
    for resource in plan:
        for document in _documents(resource):
            for statement in statements(document):
                yield from ((resource, f"{resource.name} grants {fault}") for fault in _too_wide(statement))
        for arn in _attached(resource):
            if _TOO_MUCH.search(arn):
                yield resource, f"{resource.name} attaches {arn}; grant the actions that are needed"


def _too_wide(statement: Mapping[str, Any]) -> Iterator[str]:
    for key in ("NotAction", "NotResource"):
        if key in statement:
            yield f"by {key}, which is all but {statement[key]!r}; name what is granted"
    actions = texts(at(statement, "Action"))
    for action in actions:
        if "*" in action and action not in WILDCARD_ACTIONS:
            yield f"{action}; name each action, or list this one with a reason in policies/rules/iam.py"
    if any(_is_everything(one) for one in texts(at(statement, "Resource"))) and not _is_restricted(statement):
        for action in actions:
            if "*" not in action and action not in ON_ALL_RESOURCES:
                yield (
                    f"{action} on every resource; name the resources, add a condition on their tags, or list the "
                    "action with a reason in policies/rules/iam.py"
                )


def _is_everything(resource: str) -> bool:
    """Return whether an ARN names no resource: `*`, or one such as `arn:aws:s3:::*`."""
    return resource.strip("*:") == "" or resource.split(":", 5)[-1] in ("*", "*/*")


def _is_restricted(statement: Mapping[str, Any]) -> bool:
    """Return whether a condition restricts a grant to resources with a tag, or the like."""
    return any(
        _SCOPES.match(str(key)) and texts(values) and "*" not in texts(values)
        for operator in ("StringEquals", "StringLike")
        for key, values in pairs(at(statement, "Condition", operator))
    )


NO_WILDCARD_GRANTS = Rule(
    name="no-wildcard-grants",
    description="Roles are granted named actions on named resources, or on those with a tag; what AWS grants on all "
    "resources alone is listed in policies/rules/iam.py with the reason.",
    check=_no_wildcard_grants,
)

_SERVICE_ACCOUNT = re.compile(r"system:serviceaccount:[a-z0-9-]+:[a-z0-9.-]+")
_AUDIENCE = "sts.amazonaws.com"


def _trust_pinned(plan: Plan, _context: Context) -> Iterator[Finding]:
    for role in of_type(plan, ROLE):
        for statement in statements(at(role.properties, "assumeRolePolicy")):
            issuers = texts(at(statement, "Principal", "Federated"))
            fault = _unpinned(statement, cluster=any(".eks." in one or "/eks." in one for one in issuers))
            if issuers and fault:
                yield role, f"{role.name} trusts {fault}"


def _unpinned(statement: Mapping[str, Any], *, cluster: bool) -> str | None:
    tests = at(statement, "Condition", "StringEquals")
    subjects, audiences = _tested(tests, ":sub"), _tested(tests, ":aud")
    if not subjects:
        return "any subject of its issuer; test <issuer>:sub with StringEquals"
    if audiences != [_AUDIENCE]:
        return f"audience {audiences or 'any'}; test <issuer>:aud with StringEquals, for {_AUDIENCE}"
    if cluster and (len(subjects) > 1 or not _SERVICE_ACCOUNT.fullmatch(subjects[0])):
        return f"{', '.join(subjects)}; name one service account, system:serviceaccount:NAMESPACE:NAME"
    if any(mark in one for one in subjects for mark in "*?"):
        return f"{', '.join(subjects)}; a subject is exact"
    return None


def _tested(tests: Any, ending: str) -> list[str]:
    return [value for key, values in pairs(tests) if str(key).endswith(ending) for value in texts(values)]


TRUST_PINNED = Rule(
    name="trust-pinned",
    description="A role that is assumed with a token trusts one service account of the cluster (or exact subjects of "
    "another issuer), for AWS's audience alone: StringEquals on both.",
    check=_trust_pinned,
)


def _no_public_principals(plan: Plan, _context: Context) -> Iterator[Finding]:
    for resource in plan:
        if not resource.type.startswith("aws:"):
            continue
        for key in ("policy", "assumeRolePolicy"):
            for statement in statements(at(resource.properties, key)):
                principal = at(statement, "Principal")
                anyone = principal == "*" or "*" in listed(at(principal, "AWS"))
                if anyone and not at(statement, "Condition"):
                    yield resource, f"{key} of {resource.name} allows {at(statement, 'Action')} to everyone; name who"


NO_PUBLIC_PRINCIPALS = Rule(
    name="no-public-principals",
    description="No policy of a role, bucket, topic, key or repository lets in everyone.",
    check=_no_public_principals,
)

IAM_RULES = (NO_WILDCARD_GRANTS, TRUST_PINNED, NO_PUBLIC_PRINCIPALS)

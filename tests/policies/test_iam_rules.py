import pytest

from policies.rules.iam import ON_ALL_RESOURCES
from policies.rules.model import UNKNOWN
from tests.policies.builders import document, messages, resource

GRANTS = "aws:iam/rolePolicy:RolePolicy"
ROLE = "aws:iam/role:Role"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
READ = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::models/*"]}
ISSUER = "oidc.eks.us-east-1.amazonaws.com/id/D3F5"
TESTS = {f"{ISSUER}:sub": "system:serviceaccount:training:training", f"{ISSUER}:aud": "sts.amazonaws.com"}
OWN = {"StringEquals": {"aws:ResourceTag/owner": "platform"}}
GITHUB = "token.actions.githubusercontent.com"


def trust(tests, *, issuer=ISSUER, operator="StringEquals"):
    federated = f"arn:aws:iam::123456789012:oidc-provider/{issuer}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": federated},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {operator: tests},
    }
    return resource(ROLE, {"assumeRolePolicy": document(statement)})


@pytest.mark.parametrize(
    "statement",
    [
        READ,
        {**READ, "Effect": "Deny", "Action": "*", "Resource": "*"},
        {**READ, "Action": "ec2:DescribeVpcs", "Resource": "*"},
        {**READ, "Action": "elasticloadbalancing:Describe*", "Resource": "*"},
        {**READ, "Action": "ec2:TerminateInstances", "Resource": "*", "Condition": OWN},
        {
            **READ,
            "Action": "iam:CreateServiceLinkedRole",
            "Resource": "*",
            "Condition": {"StringEquals": {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}},
        },
    ],
)
def test_a_narrow_grant_is_not_spoken_of(statement):
    assert messages("no-wildcard-grants", resource(GRANTS, {"policy": document(statement)})) == []


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ({**READ, "Action": "s3:*"}, "s3:*; name each action"),
        ({**READ, "Action": ["*"]}, "*; name each action"),
        ({**READ, "Resource": "*"}, "s3:GetObject on every resource"),
        ({**READ, "Resource": ["arn:aws:s3:::*"]}, "s3:GetObject on every resource"),
        ({**READ, "Resource": ["arn:aws:ec2:*:*:*/*"]}, "s3:GetObject on every resource"),
        (
            {**READ, "Resource": "*", "Condition": {"StringLike": {"aws:ResourceTag/owner": "*"}}},
            "s3:GetObject on every resource",
        ),
        (
            {**READ, "Resource": "*", "Condition": {"StringNotEquals": {"aws:ResourceTag/owner": "x"}}},
            "s3:GetObject on every resource",
        ),
        (
            {**READ, "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalType": "User"}}},
            "s3:GetObject on every resource",
        ),
        ({"Effect": "Allow", "NotAction": "iam:*", "Resource": "arn:aws:s3:::models"}, "by NotAction"),
        ({"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "arn:aws:s3:::models"}, "by NotResource"),
    ],
)
def test_a_wide_grant_is_named(statement, fault):
    [found] = messages("no-wildcard-grants", resource(GRANTS, {"policy": document(READ, statement)}))
    assert found.startswith(f"thing grants {fault}")


def test_grants_within_a_role_and_those_of_aws_are_looked_at_too():
    wide = resource(ROLE, {"inlinePolicies": [{"policy": document({**READ, "Action": "s3:*"})}]})
    assert len(messages("no-wildcard-grants", wide)) == 1
    policy = "arn:aws:iam::aws:policy/AdministratorAccess"
    assert messages("no-wildcard-grants", resource(ATTACHMENT, {"policyArn": policy})) == [
        f"thing attaches {policy}; grant the actions that are needed"
    ]
    full = ["arn:aws:iam::aws:policy/AmazonS3FullAccess", "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"]
    assert len(messages("no-wildcard-grants", resource(ROLE, {"managedPolicyArns": full}))) == 1


def test_a_document_that_is_not_known_yet_is_not_spoken_of():
    plan = [resource(GRANTS, {"policy": UNKNOWN}), resource(ROLE, {"assumeRolePolicy": UNKNOWN})]
    assert [message for rule in ("no-wildcard-grants", "trust-pinned") for message in messages(rule, *plan)] == []


def test_every_action_that_may_have_all_resources_has_a_reason():
    assert all(len(reason) > 20 for reason in ON_ALL_RESOURCES.values())


@pytest.mark.parametrize(
    "role",
    [
        trust(TESTS),
        trust(
            {
                f"{GITHUB}:sub": ["repo:a/b:environment:dev", "repo:a/b:pull_request"],
                f"{GITHUB}:aud": "sts.amazonaws.com",
            },
            issuer=GITHUB,
        ),
        resource(
            ROLE, {"assumeRolePolicy": document({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}})}
        ),
        resource(ROLE),
    ],
    ids=["service account", "workflows", "service", "nothing"],
)
def test_a_pinned_trust_is_not_spoken_of(role):
    assert messages("trust-pinned", role) == []


@pytest.mark.parametrize(
    ("role", "fault"),
    [
        (trust(TESTS, operator="StringLike"), "any subject of its issuer"),
        (trust({}), "any subject of its issuer"),
        (trust({f"{ISSUER}:sub": TESTS[f"{ISSUER}:sub"]}), "audience any"),
        (trust({**TESTS, f"{ISSUER}:aud": "everyone"}), "audience ['everyone']"),
        (
            trust({**TESTS, f"{ISSUER}:sub": "system:serviceaccount:training:*"}),
            "system:serviceaccount:training:*; name one",
        ),
        (
            trust({**TESTS, f"{ISSUER}:sub": [TESTS[f"{ISSUER}:sub"], "system:serviceaccount:a:b"]}),
            "system:serviceaccount:t",
        ),
        (
            trust({f"{GITHUB}:sub": "repo:a/*", f"{GITHUB}:aud": "sts.amazonaws.com"}, issuer=GITHUB),
            "repo:a/*; a subject is exact",
        ),
    ],
)
def test_a_loose_trust_is_named(role, fault):
    [found] = messages("trust-pinned", role)
    assert found.startswith(f"thing trusts {fault}")


@pytest.mark.parametrize(
    ("type_", "statement", "reported"),
    [
        ("aws:sns/topicPolicy:TopicPolicy", {**READ, "Principal": "*"}, True),
        ("aws:s3/bucketPolicy:BucketPolicy", {**READ, "Principal": {"AWS": ["*"]}}, True),
        ("aws:s3/bucketPolicy:BucketPolicy", {**READ, "Principal": {"AWS": "*"}, "Condition": OWN}, False),
        ("aws:s3/bucketPolicy:BucketPolicy", {**READ, "Effect": "Deny", "Principal": "*"}, False),
        ("aws:sns/topicPolicy:TopicPolicy", {**READ, "Principal": {"Service": "budgets.amazonaws.com"}}, False),
        ("kubernetes:core/v1:ConfigMap", {**READ, "Principal": "*"}, False),
    ],
)
def test_a_policy_that_lets_in_everyone_is_named(type_, statement, reported):
    found = messages("no-public-principals", resource(type_, {"policy": document(statement)}))
    assert found == (["policy of thing allows ['s3:GetObject'] to everyone; name who"] if reported else [])

"""The judge of policies is itself judged, by cases of AWS's documentation."""

import pytest

from tests.iam_evaluator import allows, denies, trusts

BUCKET = "arn:aws:s3:::models"


def document(**statement):
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", **statement}]}


def test_what_no_statement_allows_is_denied():
    assert not allows([], action="s3:GetObject", resource=f"{BUCKET}/a")


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("s3:GetObject", f"{BUCKET}/a/b", True),
        ("S3:getobject", f"{BUCKET}/a", True),
        ("s3:PutObject", f"{BUCKET}/a", False),
        ("s3:GetObject", "arn:aws:s3:::other/a", False),
        ("s3:GetObject", BUCKET, False),
    ],
)
def test_actions_and_resources_are_matched_whole(action, resource, allowed):
    assert allows([document(Resource=f"{BUCKET}/*")], action=action, resource=resource) is allowed


def test_a_deny_wins_over_every_allow():
    forbidden = document(Effect="Deny", Action="s3:*", Resource="*")
    assert not allows([document(Resource="*"), forbidden], action="s3:GetObject", resource=BUCKET)


@pytest.mark.parametrize(
    ("condition", "context", "holds"),
    [
        ({"StringEquals": {"aws:ResourceTag/team": ["a", "b"]}}, {"aws:ResourceTag/team": "b"}, True),
        ({"StringEquals": {"aws:ResourceTag/team": "a"}}, {"aws:ResourceTag/team": "c"}, False),
        ({"StringEquals": {"aws:ResourceTag/team": "a"}}, {}, False),
        ({"StringEqualsIfExists": {"aws:ResourceTag/team": "a"}}, {}, True),
        ({"StringLike": {"s3:prefix": "runs/*"}}, {"s3:prefix": "runs/1"}, True),
        ({"StringLike": {"s3:prefix": "runs/*"}}, {"s3:prefix": "other"}, False),
        ({"Null": {"aws:RequestTag/team": "true"}}, {}, True),
        ({"Null": {"aws:RequestTag/team": "false"}}, {}, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:SecureTransport": "false"}, True),
        ({"StringEquals": {"a": "1"}, "StringLike": {"b": "2*"}}, {"a": "1", "b": "3"}, False),
    ],
)
def test_every_condition_must_hold(condition, context, holds):
    judged = document(Resource="*", Condition=condition)
    assert allows([judged], action="s3:GetObject", resource=BUCKET, context=context) is holds


@pytest.mark.parametrize(
    "statement",
    [
        {"Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
        {"Resource": "*", "NotAction": "s3:*"},
        {"Resource": "arn:aws:s3:::${aws:username}"},
    ],
)
def test_what_the_judge_does_not_know_it_refuses_to_judge(statement):
    with pytest.raises(NotImplementedError):
        allows([document(**statement)], action="s3:GetObject", resource=BUCKET)


def test_a_resources_policy_denies_whom_its_conditions_name():
    over_tls_alone = document(
        Effect="Deny",
        Principal="*",
        Action="s3:*",
        Resource=[BUCKET, f"{BUCKET}/*"],
        Condition={"Bool": {"aws:SecureTransport": "false"}},
    )
    asked = {"action": "s3:GetObject", "resource": f"{BUCKET}/a"}
    assert denies(over_tls_alone, **asked, context={"aws:SecureTransport": "false"})
    assert not denies(over_tls_alone, **asked, context={"aws:SecureTransport": "true"})


def test_a_role_is_assumed_by_whom_it_trusts_with_the_claims_it_wants():
    trust = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Federated": "arn:issuer"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {"issuer:sub": "me"}},
        },
    }
    asked = {"action": "sts:AssumeRoleWithWebIdentity"}
    assert trusts(trust, **asked, principal={"Federated": "arn:issuer"}, context={"issuer:sub": "me"})
    assert not trusts(trust, **asked, principal={"Federated": "arn:issuer"}, context={"issuer:sub": "you"})
    assert not trusts(trust, **asked, principal={"Federated": "arn:other"}, context={"issuer:sub": "me"})
    assert not trusts(trust, **asked, principal={"Service": "ec2.amazonaws.com"}, context={"issuer:sub": "me"})

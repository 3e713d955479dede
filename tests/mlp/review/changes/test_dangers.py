"""Which changes are dangerous, and which are not."""

import json
from dataclasses import replace

import pytest

from mlp.engine.aliases import child_urn
from mlp.engine.cloud import hex_digits
from mlp.review.changes.dangers import dangers
from mlp.review.changes.differences import compare_program
from tests.mlp.review.changes.builders import BUCKET, CLUSTER, DATABASE, ROLE, ROLE_POLICY, TOP, VPC, plan_of, resource

KEY = "aws:kms/key:Key"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
ELSEWHERE = TOP.replace("pulumi:pulumi:Stack", "test:index:Parent") + "parent"


def dangers_of(old, new):
    """The kind and message of each danger, by the name of its resource."""
    found = dangers([compare_program(plan_of(*old), plan_of(*new))])
    return {one.name: (one.kind, one.message) for one in found}


def of_one(type_, old, new, **options):
    """What is dangerous about one resource whose inputs change."""
    before, after = resource(type_, "it", old, **options), resource(type_, "it", new, **options)
    return dangers_of((before,), (after,)).get("it")


@pytest.mark.parametrize(
    ("type_", "old", "new"),
    [
        (DATABASE, {"storageEncrypted": False}, {"storageEncrypted": True}),
        (BUCKET, {"bucket": "a"}, {"bucket": "b"}),
        (CLUSTER, {"roleArn": "a"}, {"roleArn": "b"}),
        (VPC, {"cidrBlock": "10.0.0.0/16"}, {"cidrBlock": "10.1.0.0/16"}),
        (KEY, {"multiRegion": False}, {"multiRegion": True}),
    ],
    ids=["database", "bucket", "cluster", "network", "key"],
)
def test_what_holds_data_or_carries_everything_is_not_replaced_or_deleted_unseen(type_, old, new):
    kind, message = of_one(type_, old, new)
    assert kind == "lost"
    assert "is replaced, because of" in message
    kind, message = dangers_of((resource(type_, "it", old),), ())["it"]
    assert kind == "lost"
    assert "is deleted" in message


def test_what_holds_nothing_may_come_and_go():
    rule = resource(INGRESS, "rule", {"securityGroupId": "sg-1", "cidrIpv4": "10.0.0.0/16"})
    alarm = resource("aws:cloudwatch/metricAlarm:MetricAlarm", "alarm", {"name": "a"})
    other = resource("aws:cloudwatch/metricAlarm:MetricAlarm", "alarm", {"name": "b"})
    assert dangers_of((rule, alarm, resource(ROLE, "role")), (other,)) == {}


def test_a_bucket_that_moves_without_an_alias_is_reported_as_deleted_and_created():
    kind, message = dangers_of((resource(BUCKET, "it"),), (resource(BUCKET, "it", below=ELSEWHERE),))["it"]
    assert kind == "lost"
    assert "it moved, and no alias says so" in message


def test_a_bucket_that_moves_with_an_alias_is_safe():
    old = resource(BUCKET, "it")
    assert dangers_of((old,), (resource(BUCKET, "it", below=ELSEWHERE, aliases=(old.urn,)),)) == {}


def test_what_may_be_replaced_is_a_danger_where_it_holds_data():
    kind, message = of_one(CLUSTER, {"encryptionConfig": {"resources": ["secrets"]}}, {})
    assert kind == "lost"
    assert "may be replaced" in message


def test_deleting_what_is_protected_is_refused_by_pulumi_and_reported():
    _, message = dangers_of((resource(ROLE, "it", protect=True),), ())["it"]
    assert "Pulumi refuses" in message


def test_the_loss_of_protection_is_a_danger():
    old, new = (resource(ROLE, "it", protect=on) for on in (True, False))
    assert dangers_of((old,), (new,))["it"] == ("unprotected", "Pulumi's protection is removed")
    assert dangers_of((new,), (old,)) == {}


@pytest.mark.parametrize(
    ("type_", "safe", "unsafe", "kind"),
    [
        (DATABASE, {"deletionProtection": True}, {"deletionProtection": False}, "unprotected"),
        (DATABASE, {"deletionProtection": True}, {}, "unprotected"),
        (DATABASE, {"skipFinalSnapshot": False}, {"skipFinalSnapshot": True}, "unprotected"),
        (DATABASE, {"backupRetentionPeriod": 14}, {"backupRetentionPeriod": 0}, "unprotected"),
        (DATABASE, {"publiclyAccessible": False}, {"publiclyAccessible": True}, "network"),
        (BUCKET, {}, {"forceDestroy": True}, "unprotected"),
        (VERSIONING, {"versioningConfiguration": {"status": "Enabled"}},
         {"versioningConfiguration": {"status": "Suspended"}}, "unprotected"),
        (ROLE, {"permissionsBoundary": "arn:x"}, {}, "access"),
        (CLUSTER, {"vpcConfig": {"endpointPublicAccess": False}}, {"vpcConfig": {"endpointPublicAccess": True}},
         "network"),
        (CLUSTER, {"vpcConfig": {"publicAccessCidrs": ["192.0.2.0/24"]}},
         {"vpcConfig": {"publicAccessCidrs": ["192.0.2.0/24", "198.51.100.0/24"]}}, "network"),
        (BLOCK, {"blockPublicPolicy": True}, {"blockPublicPolicy": False}, "public"),
        (BLOCK, {"blockPublicPolicy": True, "ignorePublicAcls": True}, {"blockPublicPolicy": True}, "public"),
    ],
    ids=["deletion-protection", "deletion-protection-gone", "snapshot", "backups", "public-database", "bucket-with-all",
         "versions", "boundary", "public-endpoint", "more-callers", "public-policy", "public-lists"],
)  # fmt: skip
def test_a_guard_that_falls_is_a_danger_and_one_that_is_put_up_is_none(type_, safe, unsafe, kind):
    assert of_one(type_, safe, unsafe)[0] == kind
    assert of_one(type_, unsafe, safe) is None


def test_fewer_callers_of_an_endpoint_are_no_danger():
    wide, narrow = ({"vpcConfig": {"publicAccessCidrs": [block]}} for block in ("192.0.2.0/24", "192.0.2.128/25"))
    assert of_one(CLUSTER, wide, narrow) is None


def test_a_bucket_that_stays_without_its_block_of_public_access_is_a_danger():
    bucket = resource(BUCKET, "data", id_="data-1")
    block = resource(BLOCK, "it", {"bucket": "data-1", "blockPublicAcls": True})
    assert dangers_of((bucket, block), (bucket,))["it"][0] == "public"
    assert "it" not in dangers_of((bucket, block), ())


def statement(**fields):
    return {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::data/a/*"]} | fields


def trust(**fields):
    body = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}} | fields
    return {key: value for key, value in body.items() if value is not None}


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


EQUALS = {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}
PLAIN = statement()
DENIED = statement(Effect="Deny", Action=["s3:*"], Resource=["*"])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([PLAIN], [statement(Action=["s3:GetObject", "s3:PutObject"])], "it may s3:PutObject on arn:aws:s3:::data/a/*"),
        ([PLAIN], [statement(Action=["s3:*"])], "it may s3:*"),
        ([PLAIN], [statement(Resource=["arn:aws:s3:::data/*"])], "on arn:aws:s3:::data/*"),
        ([PLAIN], [PLAIN, statement(Resource=["arn:aws:s3:::other/*"])], "on arn:aws:s3:::other/*"),
        ([statement(Condition=EQUALS)], [PLAIN], "it may s3:GetObject"),
        ([statement(Condition=EQUALS)],
         [statement(Condition={"StringEquals": {"aws:PrincipalOrgID": ["o-1", "o-2"]}})], "o-1, o-2"),
        ([PLAIN, DENIED], [PLAIN], "no longer: it is denied s3:*"),
        ([DENIED], [DENIED | {"Condition": EQUALS}], "no longer: it is denied"),
        ([PLAIN], [{"Effect": "Allow", "NotAction": ["iam:*"], "Resource": ["*"]}], "NotAction"),
        ([trust()], [trust(Principal="*")], "* may sts:AssumeRole"),
        ([trust()], [trust(Principal={"Service": "ec2.amazonaws.com", "AWS": "arn:aws:iam::1:root"})],
         "arn:aws:iam::1:root"),
    ],
    ids=["action", "wildcard", "wider-resource", "resource", "condition-dropped", "condition-widened", "denial-dropped",
         "denial-narrowed", "not-action", "anyone", "principal"],
)  # fmt: skip
def test_a_policy_that_allows_more_is_a_danger_and_one_that_allows_less_is_none(old, new, expected):
    kind, message = of_one(ROLE_POLICY, {"policy": document(*old)}, {"policy": document(*new)})
    assert kind == "access"
    assert expected in message
    if "NotAction" not in expected:
        assert of_one(ROLE_POLICY, {"policy": document(*new)}, {"policy": document(*old)}) is None


@pytest.mark.parametrize(
    "operator", ["StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "IpAddress"]
)
def test_a_condition_that_admits_fewer_of_its_values_is_no_wider_and_one_that_admits_more_is(operator):
    few, many = (
        {"policy": document(statement(Condition={operator: {"aws:SourceArn": values}}))}
        for values in (["a"], ["a", "b"])
    )
    assert of_one(ROLE_POLICY, many, few) is None
    assert of_one(ROLE_POLICY, few, many)[0] == "access"


@pytest.mark.parametrize("operator", ["StringNotEquals", "ArnNotLike", "NotIpAddress"])
def test_a_condition_that_excludes_fewer_values_is_wider(operator):
    few, many = (
        {"policy": document(statement(Condition={operator: {"aws:SourceArn": values}}))}
        for values in (["a"], ["a", "b"])
    )
    assert of_one(ROLE_POLICY, many, few)[0] == "access"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([statement(Action=["s3:GetObject", "s3:PutObject"])],
         [statement(), statement(Action="s3:PutObject")]),
        ([statement(), DENIED], [DENIED, statement()]),
        ([statement(Action=["s3:*"])], [statement(Action=["s3:GetObject"]), statement(Action=["S3:PutObject"])]),
        ([statement(Resource=["arn:aws:s3:::data/[x]/*"])], [statement(Resource=["arn:aws:s3:::data/[x]/y"])]),
        ([statement(Sid="one")], [statement(Sid="two")]),
        ([statement(Condition={"StringEquals": {"a": ["1", "2"]}})],
         [statement(Condition={"StringEquals": {"a": "1"}})]),
    ],
    ids=["spread", "order", "what-a-wildcard-held", "brackets", "name", "fewer-values"],
)  # fmt: skip
def test_a_policy_that_says_no_more_is_no_danger(old, new):
    assert of_one(ROLE_POLICY, {"policy": document(*old)}, {"policy": document(*new)}) is None


def test_a_new_policy_widens_a_role_that_was_there_and_not_a_new_one():
    role = resource(ROLE, "role", id_="role-1")
    policy = resource(ROLE_POLICY, "it", {"role": "role-1", "policy": document(PLAIN)})
    admin = resource(
        ATTACHMENT, "admin", {"role": "role-1", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}
    )
    found = dangers_of((role,), (role, policy, admin))
    assert found["it"][0] == "access"
    assert found["admin"] == ("access", "role-1 gets the policy arn:aws:iam::aws:policy/AdministratorAccess")
    assert dangers_of((), (role, policy, admin)) == {}


def test_a_deleted_policy_is_a_danger_where_it_denied():
    bucket = resource(BUCKET, "data", id_="data-1")
    guarded, open_ = (
        resource(BUCKET_POLICY, "it", {"bucket": "data-1", "policy": document(*one)}) for one in ([DENIED], [PLAIN])
    )
    assert dangers_of((bucket, guarded), (bucket,))["it"][0] == "access"
    assert dangers_of((bucket, open_), (bucket,)) == {}
    moved = replace(guarded, urn=child_urn(ELSEWHERE, BUCKET_POLICY, "it"))
    assert dangers_of((bucket, guarded), (bucket, moved)) == {}


def test_a_role_that_moves_with_the_same_policy_is_not_widened():
    old = (
        resource(ROLE, "role", id_="role-1"),
        resource(ROLE_POLICY, "it", {"role": "role-1", "policy": document(PLAIN)}),
    )
    new = (old[0], resource(ROLE_POLICY, "it", {"role": "role-1", "policy": document(PLAIN)}, below=ELSEWHERE))
    assert dangers_of(old, new) == {}


def test_grants_on_a_bucket_that_moved_are_not_widened():
    def everything(below, granted):
        bucket = resource(BUCKET, "data", below=below)
        physical = f"data-{hex_digits(bucket.urn, 26)}"
        bucket = replace(bucket, id=physical)
        policy = document(statement(Action=granted, Resource=[f"arn:aws:s3:::{physical}/*"]))
        return (
            resource(ROLE, "role", id_="role-1"),
            bucket,
            resource(ROLE_POLICY, "it", {"role": "role-1", "policy": policy}),
        )

    read, write = ["s3:GetObject"], ["s3:GetObject", "s3:PutObject"]
    assert set(dangers_of(everything(None, read), everything(ELSEWHERE, read))) == {"data"}
    kind, message = dangers_of(everything(None, read), everything(ELSEWHERE, write))["it"]
    assert (kind, message.split(" on ")[0]) == ("access", "policy is widened: it may s3:PutObject")


def rule(**fields):
    return {
        "securityGroupId": "sg-1",
        "ipProtocol": "tcp",
        "fromPort": 443,
        "toPort": 443,
        "cidrIpv4": "10.0.0.0/16",
    } | fields


SECURITY_GROUP = resource(GROUP, "web", {"vpcId": "vpc-1"}, id_="sg-1")


@pytest.mark.parametrize(
    ("wider", "expected"),
    [
        (rule(cidrIpv4="0.0.0.0/0"), "security group web is opened from 0.0.0.0/0 port 443 (tcp)"),
        (rule(cidrIpv4="10.0.0.0/8"), "10.0.0.0/8"),
        (rule(fromPort=80), "port 80 to 443"),
        (rule(toPort=65535), "port 443 to 65535"),
        (rule(toPort=444), "port 443 to 444"),
        (rule(fromPort=442, toPort=442), "port 442 (tcp)"),
        (rule(ipProtocol="-1", fromPort=-1, toPort=-1), "every port"),
        (rule(ipProtocol="udp"), "(udp)"),
        (rule(cidrIpv4=None, referencedSecurityGroupId="sg-2"), "from sg-2"),
        (rule(cidrIpv4=None, cidrIpv6="::/0"), "from ::/0"),
    ],
    ids=["everyone", "wider-range", "lower-ports", "higher-ports", "one-port-more", "other-port", "every-protocol",
         "other-protocol", "other-group", "ipv6"],
)  # fmt: skip
def test_a_rule_that_lets_more_in_is_a_danger(wider, expected):
    old, new = (resource(INGRESS, "it", one) for one in (rule(), wider))
    kind, message = dangers_of((SECURITY_GROUP, old), (SECURITY_GROUP, new))["it"]
    assert kind == "network"
    assert expected in message
    assert "it" in dangers_of((SECURITY_GROUP,), (SECURITY_GROUP, new)), "as a new rule too"


@pytest.mark.parametrize(
    "narrower", [rule(cidrIpv4="10.0.4.0/24"), rule(), None], ids=["smaller-range", "the-same", "none"]
)
def test_a_rule_that_lets_no_more_in_is_none(narrower):
    new = [resource(INGRESS, "other", narrower)] if narrower else []
    assert dangers_of((SECURITY_GROUP, resource(INGRESS, "it", rule())), (SECURITY_GROUP, *new)) == {}


RANGE = rule(fromPort=8000, toPort=8999)


@pytest.mark.parametrize(
    ("ports", "dangerous"),
    [
        ((8000, 8999), False),
        ((8001, 8999), False),
        ((8000, 8998), False),
        ((8443, 8443), False),
        ((7999, 8999), True),
        ((8000, 9000), True),
        ((443, 443), True),
    ],
    ids=str,
)
def test_a_range_of_ports_may_be_narrowed_and_not_be_widened(ports, dangerous):
    new = resource(INGRESS, "it", RANGE | {"fromPort": ports[0], "toPort": ports[1]})
    found = dangers_of((SECURITY_GROUP, resource(INGRESS, "it", RANGE)), (SECURITY_GROUP, new))
    assert [kind for kind, _ in found.values()] == ["network"] * dangerous


def test_a_group_that_moved_is_still_the_one_that_was_there():
    def everything(below, block):
        group = resource(GROUP, "web", {"vpcId": "vpc-1"}, below=below)
        group = replace(group, id=f"sg-{hex_digits(group.urn, 17)}")
        return group, resource(INGRESS, "it", rule(securityGroupId=group.id, cidrIpv4=block))

    old = everything(None, "10.0.0.0/16")

    def moved(block):
        group, one = everything(ELSEWHERE, block)
        return dangers_of(old, (replace(group, aliases=(old[0].urn,)), one))

    assert moved("10.0.0.0/16") == {}
    assert moved("0.0.0.0/0")["it"] == ("network", "security group web is opened from 0.0.0.0/0 port 443 (tcp)")


def test_rules_within_a_group_count_too_and_those_of_a_new_group_do_not():
    inside = {"ingress": [{"protocol": "tcp", "fromPort": 22, "toPort": 22, "cidrBlocks": ["0.0.0.0/0"]}]}
    old, new = (resource(GROUP, "it", one, id_="sg-9") for one in ({}, inside))
    assert dangers_of((old,), (new,))["it"][1] == "security group it is opened from 0.0.0.0/0 port 22 (tcp)"
    assert dangers_of((), (new,)) == {}


def test_the_gravest_comes_first():
    old = (resource(BUCKET, "a"), SECURITY_GROUP, resource(INGRESS, "b", rule()))
    new = (SECURITY_GROUP, resource(INGRESS, "b", rule(cidrIpv4="0.0.0.0/0")))
    assert list(dangers_of(old, new)) == ["a", "b"]

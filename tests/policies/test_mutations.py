"""Each change of the real plan that breaks something is spoken of by the rule it breaks, and by no other."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any

import pytest

from mlp.review.policy.verdict import as_planned, committed_exemptions, secret_values
from policies.rules import RULES, PlannedResource
from policies.rules.judging import judge
from policies.rules.model import STACK
from tests.builders import planned_with_airflow
from tests.policies.builders import context, resource

Plan = list[PlannedResource]
Mutation = Callable[[Plan], Plan]

BUCKET = "aws:s3/bucket:Bucket"
DATABASE = "aws:rds/instance:Instance"
CLUSTER = "aws:eks/cluster:Cluster"
POOL = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
ROLE = "aws:iam/role:Role"
GRANTS = "aws:iam/rolePolicy:RolePolicy"
INGRESS_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
JOB = "kubernetes:batch/v1:Job"
RELEASE = "kubernetes:helm.sh/v3:Release"
MAP = "kubernetes:core/v1:ConfigMap"


@cache
def plans(stack: str) -> list[Plan]:
    return [as_planned(one) for one in planned_with_airflow(stack)]


@cache
def secrets_of(stack: str) -> frozenset[str]:
    return secret_values(planned_with_airflow(stack))


def rules_broken_by(mutation: Mutation, stack: str = "prod", **known: Any) -> set[str]:
    """The names of the rules that speak of `stack` once its platform is changed by `mutation`."""
    platform, *others = plans(stack)
    known = {"secret_values": secrets_of(stack), **known}
    judgement = judge(RULES, [mutation(list(platform)), *others], context(stack, **known), committed_exemptions())
    return {one.rule for one in (*judgement.violations, *judgement.advisories)}


def changed(type_: str, name: str = "", **fields: Any) -> Mutation:
    """Gives resources other fields; `properties` is a function from the old ones."""

    def mutate(plan: Plan) -> Plan:
        hits = [one for one in plan if one.type == type_ and name in one.name]
        assert hits, f"the plan has no {type_} {name}"
        return [_with(one, fields) if one in hits else one for one in plan]

    return mutate


def _with(one: PlannedResource, fields: dict[str, Any]) -> PlannedResource:
    edit = fields.get("properties")
    new = {**fields, "properties": edit(copy.deepcopy(dict(one.properties)))} if edit else fields
    return replace(one, **new)


def put(*path: Any, value: Any) -> Callable[[Any], Any]:
    """Sets what lies at `path`, also where the way there leads through JSON text."""

    def edit(inside: Any) -> Any:
        return _put(inside, path, value)

    return edit


def _put(inside: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    if isinstance(inside, str):
        return json.dumps(_put(json.loads(inside), path, value))
    old = inside[path[0]] if isinstance(inside, list) or path[0] in inside else {}
    inside[path[0]] = _put(old, path[1:], value)
    return inside


def set_at(type_: str, *path: Any, value: Any, name: str = "") -> Mutation:
    return changed(type_, name, properties=put(*path, value=value))


def without(type_: str, name: str = "") -> Mutation:
    def mutate(plan: Plan) -> Plan:
        left = [one for one in plan if one.type != type_ or name not in one.name]
        assert len(left) < len(plan)
        return left

    return mutate


def added(new: PlannedResource, *, like: str) -> Mutation:
    """Adds a resource beside one of type `like`, whose tags and dependencies it shares."""

    def mutate(plan: Plan) -> Plan:
        model = next(one for one in plan if one.type == like)
        return [*plan, replace(new, default_tags=model.default_tags, dependencies=model.dependencies)]

    return mutate


def allow(**statement: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::models/*"], **statement}


CONTAINER = ("spec", "template", "spec", "containers", 0)
MUTATIONS: dict[str, tuple[Mutation, set[str]]] = {
    "a bucket that can be made public": (
        set_at("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "blockPublicPolicy", value=False),
        {"no-public-bucket"},
    ),
    "a bucket without its public access block": (
        without("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "datasets"),
        {"no-public-bucket"},
    ),
    "a bucket policy that lets everybody read": (
        set_at("aws:s3/bucketPolicy:BucketPolicy", "policy", "Statement", 1, value=allow(Principal="*"), name="logs"),
        {"no-public-principals"},
    ),
    "a bucket that answers without TLS": (
        set_at("aws:s3/bucketPolicy:BucketPolicy", "policy", "Statement", 0, "Effect", value="Allow", name="datasets"),
        {"buckets-over-tls"},
    ),
    "a bucket without its policy": (without("aws:s3/bucketPolicy:BucketPolicy", "logs"), {"buckets-over-tls"}),
    "versioning off": (
        set_at("aws:s3/bucketVersioning:BucketVersioning", "versioningConfiguration", "status", value="Suspended"),
        {"buckets-versioned"},
    ),
    "a bucket that says nothing of encryption": (
        without("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration", "artifacts"),
        {"buckets-encrypted"},
    ),
    "an unencrypted database": (set_at(DATABASE, "storageEncrypted", value=False), {"database-encrypted"}),
    "a database on the internet": (set_at(DATABASE, "publiclyAccessible", value=True), {"database-private"}),
    "a database in one zone": (set_at(DATABASE, "multiAz", value=False), {"database-has-a-standby"}),
    "backups of one day": (set_at(DATABASE, "backupRetentionPeriod", value=1), {"database-backed-up"}),
    "a database that AWS would delete": (set_at(DATABASE, "deletionProtection", value=False), {"deletion-refused"}),
    "a bucket that would be emptied": (set_at(BUCKET, "forceDestroy", value=True), {"deletion-refused"}),
    "a database that Pulumi would delete": (changed(DATABASE, protect=False), {"data-protected"}),
    "a key that Pulumi would delete": (changed("aws:kms/key:Key", protect=False), {"data-protected"}),
    "an unencrypted disk": (
        set_at(TEMPLATE, "blockDeviceMappings", 0, "ebs", "encrypted", value="false", name="gpu"),
        {"volumes-encrypted"},
    ),
    "unencrypted volumes of pods": (
        set_at("kubernetes:storage.k8s.io/v1:StorageClass", "parameters", "encrypted", value="false"),
        {"volumes-encrypted"},
    ),
    "secrets under no key of ours": (set_at(CLUSTER, "encryptionConfig", value=None), {"cluster-secrets-encrypted"}),
    "images under no key": (
        set_at("aws:ecr/repository:Repository", "encryptionConfigurations", 0, "encryptionType", value="AES256"),
        {"images-encrypted"},
    ),
    "another topic without a key": (
        added(resource("aws:sns/topic:Topic", name="news"), like="aws:sns/topic:Topic"),
        {"topics-encrypted"},
    ),
    "logs that are kept for ever": (
        set_at("aws:cloudwatch/logGroup:LogGroup", "retentionInDays", value=0, name="cluster"),
        {"logs-end"},
    ),
    "a database open to the world": (
        set_at(INGRESS_RULE, "cidrIpv4", value="0.0.0.0/0", name="database"),
        {"no-open-ingress"},
    ),
    "a load balancer open at another port": (
        set_at(INGRESS_RULE, "toPort", value=8443, name="https"),
        {"no-open-ingress"},
    ),
    "a load balancer that does not redirect": (
        set_at(
            "kubernetes:networking.k8s.io/v1:Ingress",
            "metadata",
            "annotations",
            "alb.ingress.kubernetes.io/ssl-redirect",
            value="",
            name="mlflow",
        ),
        {"no-open-ingress"},
    ),
    "a chart with a load balancer of its own": (
        set_at(RELEASE, "values", "grafana", "service", value={"type": "LoadBalancer"}, name="monitoring-release"),
        {"one-entrance"},
    ),
    "any action": (
        set_at(GRANTS, "policy", "Statement", 0, "Action", value=["s3:*"], name="training"),
        {"no-wildcard-grants"},
    ),
    "any resource": (
        set_at(GRANTS, "policy", "Statement", 1, "Resource", value=["*"], name="training"),
        {"no-wildcard-grants"},
    ),
    "an administrator": (
        set_at(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            "policyArn",
            value="arn:aws:iam::aws:policy/AdministratorAccess",
            name="nodes",
        ),
        {"no-wildcard-grants"},
    ),
    "a trust in every service account": (
        changed(
            ROLE,
            "training",
            properties=lambda old: {
                **old,
                "assumeRolePolicy": old["assumeRolePolicy"].replace("training:training", "training:*"),
            },
        ),
        {"trust-pinned"},
    ),
    "a trust in any audience": (
        changed(
            ROLE,
            "training",
            properties=lambda old: {**old, "assumeRolePolicy": old["assumeRolePolicy"].replace(":aud", ":azp")},
        ),
        {"trust-pinned"},
    ),
    "a version that nobody supports": (set_at(CLUSTER, "version", value="1.33"), {"kubernetes-supported"}),
    "extended support": (
        set_at(CLUSTER, "upgradePolicy", "supportType", value="EXTENDED"),
        {"kubernetes-supported"},
    ),
    "an API endpoint open to the world": (
        set_at(CLUSTER, "vpcConfig", "endpointPublicAccess", value=True),
        {"api-endpoint-closed"},
    ),
    "GPUs on demand": (set_at(POOL, "capacityType", value="ON_DEMAND", name="gpu"), {"gpu-pools-on-spot"}),
    "a GPU node that is never gone": (
        set_at(POOL, "scalingConfig", "minSize", value=1, name="gpu"),
        {"gpu-pools-free-when-idle"},
    ),
    "GPU nodes without a taint": (set_at(POOL, "taints", value=None, name="gpu"), {"gpu-pools-tainted"}),
    "IMDSv1": (set_at(TEMPLATE, "metadataOptions", "httpTokens", value="optional"), {"node-metadata-guarded"}),
    "metadata two hops away": (
        set_at(TEMPLATE, "metadataOptions", "httpPutResponseHopLimit", value=2),
        {"node-metadata-guarded"},
    ),
    "an image by tag": (set_at(JOB, *CONTAINER, "image", value="postgres:17"), {"images-by-digest"}),
    "the latest image": (set_at(JOB, *CONTAINER, "image", value="postgres:latest"), {"images-by-digest"}),
    "our image by tag in a chart": (
        set_at(RELEASE, "values", "images", "airflow", "tag", value="3", name="airflow"),
        {"images-by-digest"},
    ),
    "a pod without limits": (set_at(JOB, *CONTAINER, "resources", "limits", value={}), {"pods-bounded"}),
    "a pod that may be root": (
        set_at(JOB, "spec", "template", "spec", "securityContext", value={}, name="databases"),
        {"pods-not-root"},
    ),
    "a namespace that confines nothing": (
        set_at("kubernetes:core/v1:Namespace", "metadata", "labels", value={}, name="training"),
        {"namespaces-confined"},
    ),
    "any version of a chart": (set_at(RELEASE, "version", value=None, name="ray"), {"charts-pinned"}),
    "resources of another provider": (changed("aws:ec2/vpc:Vpc", default_tags={}), {"tagged"}),
    "nodes without tags": (set_at(TEMPLATE, "tagSpecifications", value=[]), {"tagged"}),
    "a password in an output": (set_at(STACK, "database_password", value="hunter2"), {"no-plain-secrets"}),
    "a key in a ConfigMap": (
        set_at(MAP, "data", "settings", value="id=AKIA" + "ABCDEFGHIJKLMNOP"),
        {"no-plain-secrets"},
    ),
    "a key in user data": (
        set_at(TEMPLATE, "userData", value=base64.b64encode(b"export ID=AKIA" + b"ABCDEFGHIJKLMNOP").decode()),
        {"no-plain-secrets"},
    ),
    "a password in a chart's environment": (
        set_at(RELEASE, "values", "env", value=[{"name": "DB_PASSWORD", "value": "hunter2"}], name="airflow"),
        {"no-plain-secrets"},
    ),
}


@pytest.mark.parametrize(("mutation", "rules"), MUTATIONS.values(), ids=MUTATIONS)
def test_exactly_the_broken_rule_is_reported(mutation, rules):
    assert rules_broken_by(mutation) == rules


def test_a_value_marked_secret_is_found_wherever_it_stands_in_plain():
    password = next(value for value in sorted(secrets_of("prod")) if len(value) == 32)
    leak = set_at(MAP, "data", "note", value=f"for a while: {password}", name="airflow")
    assert rules_broken_by(leak) == {"no-plain-secrets"}


def test_too_high_a_price_breaks_the_budget_alone():
    assert rules_broken_by(list, monthly_usd=1500.01) == {"within-budget"}
    assert rules_broken_by(list, monthly_usd=1499.99) == set()


def test_the_end_of_support_is_reported_and_then_refused():
    assert rules_broken_by(list, today=date(2027, 1, 1)) == {"kubernetes-support-ends-soon"}
    assert rules_broken_by(list, today=date(2027, 3, 28)) == {"kubernetes-supported"}


def test_every_rule_has_a_change_that_breaks_it():
    tested_here = {"within-budget", "kubernetes-support-ends-soon"}
    assert {rule.name for rule in RULES} == set.union(tested_here, *(rules for _, rules in MUTATIONS.values()))


@pytest.mark.parametrize(
    "name",
    [
        "a database in one zone",
        "backups of one day",
        "a database that AWS would delete",
        "a database that Pulumi would delete",
        "a bucket that would be emptied",
    ],
)
@pytest.mark.parametrize("stack", ["dev", "local"])
def test_what_is_made_again_need_not_be_kept(stack, name):
    mutation, _ = MUTATIONS[name]
    assert rules_broken_by(mutation, stack) == rules_broken_by(list, stack)


@pytest.mark.parametrize("name", ["an unencrypted database", "extra trust", "versioning off", "IMDSv1"])
@pytest.mark.parametrize("stack", ["dev", "local"])
def test_rules_on_security_are_active_everywhere(stack, name):
    unpinned = set_at(ROLE, "assumeRolePolicy", "Statement", 0, "Condition", value={}, name="ebs")
    mutation, rules = {**MUTATIONS, "extra trust": (unpinned, {"trust-pinned"})}[name]
    assert rules_broken_by(mutation, stack) == rules_broken_by(list, stack) | rules


def test_the_committed_environments_break_nothing_and_dev_is_warned_of_its_open_endpoint():
    assert {stack: rules_broken_by(list, stack) for stack in ("prod", "dev", "local")} == {
        "prod": set(),
        "dev": {"api-endpoint-closed"},
        "local": set(),
    }

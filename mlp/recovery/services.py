"""How things of the other AWS services are found: by name, or by the prefix of a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlp.recovery.found import Finder, Found, Standing, Wanted, answer, listed, standing, tags_of, unless_denied

_EKS = {"making": "creating", "failed": "failed create_failed", "going": "deleting"}
_RDS_READY = {"available", "storage-optimization", "storage-full"}
_RDS_FAILED = ("failed", "incompatible-", "restore-error", "insufficient-capacity", "inaccessible-")


def _named(
    service: str,
    call: str,
    argument: str,
    key: str,
    *,
    name: str = "name",
    id_: Callable[[Mapping[str, Any]], str] | None = None,
) -> Finder:
    """Return a finder of what a call describes by the name in the input `name`; the id is that name, or by `id_`."""

    def find(wanted: Wanted) -> list[Found]:
        asked = [wanted[name]] if argument.endswith(("names", "Names")) else wanted[name]
        if not wanted[name]:
            return []
        found = answer(getattr(wanted.clients(service), call), **{argument: asked}).get(key)
        one = (found[0] if found else None) if isinstance(found, list) else found
        return [Found(id_(one) if id_ else wanted[name])] if one else []

    return find


def _cluster(wanted: Wanted) -> list[Found]:
    one = answer(wanted.clients("eks").describe_cluster, name=wanted["name"]).get("cluster")
    return [_of_eks(wanted["name"], one)] if one else []


def _of_eks(id_: str, one: Mapping[str, Any]) -> Found:
    return Found(id_, standing(one["status"], **_EKS), one.get("tags") or {}, one["status"])


def _node_group(wanted: Wanted) -> list[Found]:
    eks, cluster = wanted.clients("eks"), wanted["clusterName"]
    names = wanted.named(
        listed(eks, "list_nodegroups", "nodegroups", clusterName=cluster), "nodeGroupName", "nodeGroupNamePrefix"
    )
    groups = [eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"] for name in names]
    return [_of_eks(f"{cluster}:{one['nodegroupName']}", one) for one in groups]


def _addon(wanted: Wanted) -> list[Found]:
    cluster, name = wanted["clusterName"], wanted["addonName"]
    one = answer(wanted.clients("eks").describe_addon, clusterName=cluster, addonName=name).get("addon")
    return [_of_eks(f"{cluster}:{name}", one)] if one else []


def _access_entry(wanted: Wanted) -> list[Found]:
    cluster, principal = wanted["clusterName"], wanted["principalArn"]
    call = wanted.clients("eks").describe_access_entry
    found = answer(call, clusterName=cluster, principalArn=principal).get("accessEntry")
    return [Found(f"{cluster}:{principal}", tags=found.get("tags") or {})] if found else []


def _database(wanted: Wanted) -> list[Found]:
    name = wanted["identifier"]
    found = answer(wanted.clients("rds").describe_db_instances, DBInstanceIdentifier=name).get("DBInstances") or ()
    return [
        Found(one["DbiResourceId"], _of_database(one["DBInstanceStatus"]), tags_of(one, "TagList"), status)
        for one in found
        for status in [one["DBInstanceStatus"]]
    ]


def _of_database(status: str) -> Standing:
    if status.startswith(_RDS_FAILED):
        return Standing.FAILED
    if status == "deleting":
        return Standing.GOING
    return Standing.READY if status in _RDS_READY else Standing.MAKING


def _bucket(wanted: Wanted) -> list[Found]:
    """Find a bucket by name or prefix; its tags come after it, so that they say nothing."""
    names = [one["Name"] for one in wanted.clients("s3").list_buckets()["Buckets"]]
    return [Found(one) for one in wanted.named(names, "bucket", "bucketPrefix")]


def _secret(wanted: Wanted) -> list[Found]:
    filters = [{"Key": "name", "Values": [wanted["name"] or wanted["namePrefix"]]}]
    secrets = listed(wanted.clients("secretsmanager"), "list_secrets", "SecretList", Filters=filters)
    names = wanted.named([one["Name"] for one in secrets])
    return [
        Found(one["ARN"], tags=tags_of(one)) for one in secrets if one["Name"] in names and "DeletedDate" not in one
    ]


def _key(wanted: Wanted) -> list[Found]:
    """Find a key by its description and tags: it has no name."""
    kms = wanted.clients("kms")
    found = []
    for one in listed(kms, "list_keys", "Keys"):
        # A key may refuse to be looked at by all but its owners; whoever makes the platform's may look at those.
        key = unless_denied(kms.describe_key, KeyId=one["KeyId"]).get("KeyMetadata") or {}
        if key.get("Description") == wanted["description"] and key["KeyState"] == "Enabled":
            listed_tags = unless_denied(kms.list_resource_tags, KeyId=one["KeyId"]).get("Tags") or ()
            found.append(Found(one["KeyId"], tags={tag["TagKey"]: tag["TagValue"] for tag in listed_tags}))
    return [one for one in found if wanted.tags.items() <= (one.tags or {}).items()]


def _role_policy(wanted: Wanted) -> list[Found]:
    role, name = wanted["role"], wanted["name"]
    found = answer(wanted.clients("iam").get_role_policy, RoleName=role, PolicyName=name)
    return [Found(f"{role}:{name}")] if found else []


def _openid_provider(wanted: Wanted) -> list[Found]:
    address = wanted["url"].removeprefix("https://").rstrip("/")
    arns = [one["Arn"] for one in wanted.clients("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]]
    return [Found(one) for one in arns if address and one.endswith(f":oidc-provider/{address}")]


def _log_group(wanted: Wanted) -> list[Found]:
    name = wanted["name"]
    groups = listed(wanted.clients("logs"), "describe_log_groups", "logGroups", logGroupNamePrefix=name)
    return [Found(name) for one in groups if one["logGroupName"] == name]


def _topic(wanted: Wanted) -> list[Found]:
    arns = [one["TopicArn"] for one in listed(wanted.clients("sns"), "list_topics", "Topics")]
    return [Found(one) for one in arns if one.rpartition(":")[2] == wanted["name"]]


def _subscription(wanted: Wanted) -> list[Found]:
    """Find a subscription; an unconfirmed one has no ARN yet, and asking again sends another e-mail alone."""
    sns, topic = wanted.clients("sns"), wanted["topic"]
    found = listed(sns, "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic)
    return [
        Found(one["SubscriptionArn"])
        for one in found
        if (one["Protocol"], one["Endpoint"]) == (wanted["protocol"], wanted["endpoint"])
        and one["SubscriptionArn"].startswith("arn:")
    ]


def _budget(wanted: Wanted) -> list[Found]:
    account = wanted.clients("sts").get_caller_identity()["Account"]
    call = wanted.clients("budgets").describe_budget
    return [Found(f"{account}:{wanted['name']}")] if answer(call, AccountId=account, BudgetName=wanted["name"]) else []


def _record(wanted: Wanted) -> list[Found]:
    zone, name, type_ = wanted["zoneId"], wanted["name"].rstrip("."), wanted["type"]
    sets = listed(wanted.clients("route53"), "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone)
    same = [one for one in sets if (one["Name"].rstrip("."), one["Type"]) == (name, type_)]
    return [Found(f"{zone}_{name}_{type_}") for _ in same[:1]]


def _certificate(wanted: Wanted) -> list[Found]:
    acm = wanted.clients("acm")
    found = [
        Found(arn, tags=tags_of(acm.list_tags_for_certificate(CertificateArn=arn)))
        for one in listed(acm, "list_certificates", "CertificateSummaryList")
        if one["DomainName"] == wanted["domainName"]
        for arn in [one["CertificateArn"]]
    ]
    return [one for one in found if wanted.tags.items() <= (one.tags or {}).items()]


def _web_acl(wanted: Wanted) -> list[Found]:
    scope, name = wanted["scope"], wanted["name"]
    acls = answer(wanted.clients("wafv2").list_web_acls, Scope=scope).get("WebACLs") or ()
    return [Found(one["Id"]) for one in acls if one["Name"] == name]


SERVICES: Mapping[str, Finder] = {
    "aws:acm/certificate:Certificate": _certificate,
    "aws:budgets/budget:Budget": _budget,
    "aws:cloudwatch/eventRule:EventRule": _named("events", "describe_rule", "Name", "Name"),
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _named("cloudwatch", "describe_alarms", "AlarmNames", "MetricAlarms"),
    "aws:ecr/repository:Repository": _named("ecr", "describe_repositories", "repositoryNames", "repositories"),
    "aws:eks/accessEntry:AccessEntry": _access_entry,
    "aws:eks/addon:Addon": _addon,
    "aws:eks/cluster:Cluster": _cluster,
    "aws:eks/nodeGroup:NodeGroup": _node_group,
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": _openid_provider,
    "aws:iam/role:Role": _named("iam", "get_role", "RoleName", "Role"),
    "aws:iam/rolePolicy:RolePolicy": _role_policy,
    "aws:kms/key:Key": _key,
    "aws:rds/eventSubscription:EventSubscription": _named(
        "rds", "describe_event_subscriptions", "SubscriptionName", "EventSubscriptionsList"
    ),
    "aws:rds/instance:Instance": _database,
    "aws:rds/parameterGroup:ParameterGroup": _named(
        "rds", "describe_db_parameter_groups", "DBParameterGroupName", "DBParameterGroups"
    ),
    "aws:rds/subnetGroup:SubnetGroup": _named(
        "rds", "describe_db_subnet_groups", "DBSubnetGroupName", "DBSubnetGroups"
    ),
    "aws:route53/record:Record": _record,
    "aws:s3/bucket:Bucket": _bucket,
    "aws:secretsmanager/secret:Secret": _secret,
    "aws:sns/topic:Topic": _topic,
    "aws:sns/topicSubscription:TopicSubscription": _subscription,
    "aws:wafv2/webAcl:WebAcl": _web_acl,
}

"""What an applied stack leaves in its account and tells of itself: tags, costs, the entrance, outputs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from moto.budgets.models import budgets_backends

from mlp.engine.cloud import ACCOUNT
from mlp.engine.values import Secret, shown
from tests.iam_evaluator import allows
from tests.mlp.engine.clouds.applied import Applied, tags


def entrance_of(applied: Applied) -> list[str]:
    """The names under which services are reached: in production any of a domain, in development none."""
    assert ("edge" in applied.settings) is (applied.stack == "prod")
    return [f"*.{edge['domain']}" for key, edge in applied.settings.items() if key == "edge"]


def certificates(applied: Applied) -> list[dict[str, Any]]:
    acm = applied.client("acm")
    return [
        acm.describe_certificate(CertificateArn=one["CertificateArn"])["Certificate"]
        for one in acm.list_certificates()["CertificateSummaryList"]
    ]


def test_everything_that_takes_tags_carries_those_of_its_environment(applied: Applied) -> None:
    expected = {
        "Project": "ml-platform",
        "Environment": applied.stack,
        "Platform": f"ml-platform-{applied.stack}",
        "ManagedBy": "pulumi",
    }
    listed = [*_tags_of_stores(applied), *_tags_of_identities(applied), *_tags_of_services(applied)]
    eks = applied.client("eks")
    assert eks.describe_cluster(name=f"ml-platform-{applied.stack}")["cluster"]["tags"].items() >= expected.items()
    assert all(group["tags"].items() >= expected.items() for group in applied.node_groups().values())

    assert listed
    assert listed == [expected] * len(listed)


def test_everything_in_the_network_carries_the_tags_of_its_environment(applied: Applied) -> None:
    found = applied.client("ec2").describe_tags(Filters=[{"Name": "key", "Values": ["Environment"]}])["Tags"]

    kinds = {"vpc", "subnet", "igw", "eipalloc", "nat", "rtb", "sg", "sgr", "vpce", "lt"}
    kinds |= {"fl"} if applied.stack == "prod" else set()
    assert {(tag["ResourceId"].split("-")[0], tag["Value"]) for tag in found} == {
        (kind, applied.stack) for kind in kinds
    }


def _tags_of_stores(applied: Applied) -> list[dict[str, str]]:
    s3, rds, ecr = (applied.client(service) for service in ("s3", "rds", "ecr"))
    [database] = rds.describe_db_instances()["DBInstances"]
    groups = [database["DBSubnetGroup"]["DBSubnetGroupArn"]]
    groups += [one["DBParameterGroupArn"] for one in rds.describe_db_parameter_groups()["DBParameterGroups"]]
    return [
        *(tags({"Tags": s3.get_bucket_tagging(Bucket=one["Name"])["TagSet"]}) for one in s3.list_buckets()["Buckets"]),
        tags({"Tags": database["TagList"]}),
        *(tags({"Tags": rds.list_tags_for_resource(ResourceName=arn)["TagList"]}) for arn in groups),
        *(
            tags({"Tags": ecr.list_tags_for_resource(resourceArn=one["repositoryArn"])["tags"]})
            for one in ecr.describe_repositories()["repositories"]
        ),
        *(tags(one) for one in applied.client("secretsmanager").list_secrets()["SecretList"]),
    ]


def _tags_of_identities(applied: Applied) -> list[dict[str, str]]:
    iam, kms = applied.client("iam"), applied.client("kms")
    issuer = applied.id("aws:iam/openIdConnectProvider:OpenIdConnectProvider")
    key = applied.id("aws:kms/key:Key")
    return [
        tags(iam.list_open_id_connect_provider_tags(OpenIDConnectProviderArn=issuer)),
        *(tags(iam.list_role_tags(RoleName=role["RoleName"])) for role in iam.list_roles()["Roles"]),
        {tag["TagKey"]: tag["TagValue"] for tag in kms.list_resource_tags(KeyId=key)["Tags"]},
    ]


def _tags_of_services(applied: Applied) -> list[dict[str, str]]:
    logs, wafv2, acm = (applied.client(service) for service in ("logs", "wafv2", "acm"))
    groups = [one["logGroupArn"] for one in logs.describe_log_groups()["logGroups"]]
    firewalls = [one["ARN"] for one in wafv2.list_web_acls(Scope="REGIONAL")["WebACLs"]]
    topic = applied.outputs["alert_topic_arn"]
    return [
        *(logs.list_tags_for_resource(resourceArn=arn)["tags"] for arn in groups),
        *(
            tags({"Tags": wafv2.list_tags_for_resource(ResourceARN=arn)["TagInfoForResource"]["TagList"]})
            for arn in firewalls
        ),
        *(tags(acm.list_tags_for_certificate(CertificateArn=one["CertificateArn"])) for one in certificates(applied)),
        tags(applied.client("sns").list_tags_for_resource(ResourceArn=topic)),
    ]


def test_no_password_is_in_any_output(applied: Applied) -> None:
    passwords = applied.generated_passwords()
    outputs = json.dumps(applied.outputs)

    assert len(passwords) == len(set(passwords)) >= 6
    assert not [password for password in passwords if password in outputs]


def test_the_kubeconfig_is_the_one_output_that_is_secret(applied: Applied) -> None:
    outputs = applied.deployment.outputs

    assert {name for name, value in outputs.items() if isinstance(value, Secret)} == {"kubeconfig"}
    assert json.loads(applied.outputs["kubeconfig"])["kind"] == "Config"


def test_a_password_is_a_secret_wherever_it_goes(applied: Applied) -> None:
    passwords = applied.generated_passwords()
    for resource in applied.deployment.resources.values():
        seen = json.dumps(shown(resource.wanted.inputs))
        assert not [password for password in passwords if password in seen], resource.wanted.urn


def test_the_budget_counts_the_costs_of_this_environment_alone(applied: Applied) -> None:
    [budget] = applied.client("budgets").describe_budgets(AccountId=ACCOUNT)["Budgets"]

    assert (budget["BudgetType"], budget["TimeUnit"]) == ("COST", "MONTHLY")
    assert budget["BudgetLimit"] == {"Amount": "1500" if applied.stack == "prod" else "300", "Unit": "USD"}
    assert budget["CostFilters"] == {"TagKeyValue": [f"user:Platform$ml-platform-{applied.stack}"]}


def test_the_budget_alerts_before_at_and_ahead_of_its_limit(applied: Applied) -> None:
    budgets = applied.client("budgets")
    [budget] = budgets.describe_budgets(AccountId=ACCOUNT)["Budgets"]
    notifications = budgets.describe_notifications_for_budget(AccountId=ACCOUNT, BudgetName=budget["BudgetName"])[
        "Notifications"
    ]

    assert [(one["NotificationType"], one["Threshold"]) for one in notifications] == [
        ("ACTUAL", 80),
        ("ACTUAL", 100),
        ("FORECASTED", 100),
    ]
    for one in notifications:
        assert (one["ComparisonOperator"], one["ThresholdType"]) == ("GREATER_THAN", "PERCENTAGE")
    # AWS tells of subscribers; the emulator keeps them and has no call for it.
    kept = budgets_backends[ACCOUNT]["aws"].budgets[ACCOUNT][budget["BudgetName"]].notifications
    topic = {"SubscriptionType": "SNS", "Address": applied.outputs["alert_topic_arn"]}
    subscribers: list[Any] = [one.subscribers for one in kept]
    assert subscribers == [[topic]] * 3


@pytest.mark.parametrize(
    ("service", "account", "action", "granted"),
    [
        ("budgets.amazonaws.com", ACCOUNT, "SNS:Publish", True),
        ("budgets.amazonaws.com", "999999999999", "SNS:Publish", False),
        ("budgets.amazonaws.com", ACCOUNT, "SNS:Subscribe", False),
        ("s3.amazonaws.com", ACCOUNT, "SNS:Publish", False),
    ],
)
def test_budgets_of_this_account_publish_alerts_and_nobody_else_does(
    applied: Applied, service: str, account: str, action: str, granted: bool
) -> None:
    topic = applied.outputs["alert_topic_arn"]
    attributes = applied.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
    policy = json.loads(attributes["Policy"])
    to_service = {
        **policy,
        "Statement": [one for one in policy["Statement"] if one["Principal"] == {"Service": service}],
    }

    assert allows([to_service], action=action, resource=topic, context={"aws:SourceAccount": account}) is granted
    # With a key of AWS's own, budgets could not publish to it.
    assert not attributes.get("KmsMasterKeyId")


def test_alerts_go_to_the_addresses_of_the_settings(applied: Applied) -> None:
    subscribed = applied.client("sns").list_subscriptions_by_topic(TopicArn=applied.outputs["alert_topic_arn"])

    addresses = [(one["Protocol"], one["Endpoint"]) for one in subscribed["Subscriptions"]]
    assert addresses == [("email", address) for address in applied.settings["budget"].get("emails", [])]


def told_to_the_load_balancer(applied: Applied) -> dict[str, str]:
    """What the controller reads in the ingress of MLflow."""
    annotations = applied.inputs("kubernetes:networking.k8s.io/v1:Ingress", "way-in-mlflow")["metadata"]["annotations"]
    return {key.rpartition("/")[2]: value for key, value in annotations.items()}


def test_the_certificate_is_for_the_names_of_the_services(applied: Applied) -> None:
    names = entrance_of(applied)

    assert [set(one["SubjectAlternativeNames"]) for one in certificates(applied)] == ([set(names)] if names else [])
    assert [one["CertificateArn"] for one in certificates(applied)] == (
        [told_to_the_load_balancer(applied)["certificate-arn"]] if names else []
    )


def test_each_name_of_the_certificate_has_its_validation_record_in_the_zone(applied: Applied) -> None:
    route53 = applied.client("route53")
    found = {
        (record["Name"], record["Type"], record["ResourceRecords"][0]["Value"])
        for zone in route53.list_hosted_zones()["HostedZones"]
        for record in route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
        if record["Type"] not in ("NS", "SOA") and record["Name"].startswith("_")
    }
    wanted = {
        tuple(option["ResourceRecord"][key] for key in ("Name", "Type", "Value"))
        for one in certificates(applied)
        for option in one["DomainValidationOptions"]
    }

    assert len(found) == len(entrance_of(applied))
    assert found == wanted


def test_each_service_has_a_name_that_leads_to_the_load_balancer(applied: Applied) -> None:
    route53 = applied.client("route53")
    found = {
        record["Name"].rstrip(".")
        for zone in route53.list_hosted_zones()["HostedZones"]
        for record in route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
        if record["Type"] == "CNAME" and "elb.amazonaws.com" in record["ResourceRecords"][0]["Value"]
    }

    assert found == {url.removeprefix("https://") for url in applied.outputs["public_urls"].values()}
    assert len(found) == 3 * len(entrance_of(applied))


def test_an_address_that_asks_too_often_is_blocked(applied: Applied) -> None:
    wafv2 = applied.client("wafv2")
    found = wafv2.list_web_acls(Scope="REGIONAL")["WebACLs"]
    assert len(found) == (1 if entrance_of(applied) else 0)

    for summary in found:
        acl = wafv2.get_web_acl(Name=summary["Name"], Id=summary["Id"], Scope="REGIONAL")["WebACL"]
        [rule] = acl["Rules"]
        assert acl["ARN"] == told_to_the_load_balancer(applied)["wafv2-acl-arn"]
        assert (acl["DefaultAction"], rule["Action"]) == ({"Allow": {}}, {"Block": {}})
        assert rule["Statement"] == {"RateBasedStatement": {"Limit": 2000, "AggregateKeyType": "IP"}}


def test_the_load_balancer_is_reached_by_http_and_https_and_reaches_the_network_alone(applied: Applied) -> None:
    if entrance_of(applied):
        group = applied.security_group(told_to_the_load_balancer(applied)["security-groups"])
        admitted = {
            (one["FromPort"], one["ToPort"], block["CidrIp"])
            for one in group["IpPermissions"]
            for block in one["IpRanges"]
        }
        [way_out] = group["IpPermissionsEgress"]
        assert admitted == {(443, 443, "0.0.0.0/0"), (80, 80, "0.0.0.0/0")}
        assert [block["CidrIp"] for block in way_out["IpRanges"]] == ["10.0.0.0/16"]
        assert group["VpcId"] == applied.vpc

"""The database: who reaches it, what it keeps, and where its logins are."""

import json
import re
from pathlib import Path

import pulumi
import pytest

from infra.data.database import Database, DatabaseArgs
from infra.settings.settings import DatabaseSettings
from mlp.engine.values import Secret
from tests.builders import ancestors, deploy, inputs_of, wanted
from tests.infra.builders import environment

REPOSITORY = Path(__file__).resolve().parents[3]
OWNERS = ("mlflow", "airflow")
_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"


def deploy_database(*, deletable=False, **settings):
    args = DatabaseArgs(
        environment=environment(deletable=deletable),
        vpc_id="vpc-1",
        subnet_ids=["subnet-1", "subnet-2"],
        client_security_group_id="sg-cluster",
        owners=OWNERS,
        settings=DatabaseSettings(**settings),
        log_retention_days=90,
        alarm_topic_arn="arn:topic",
    )

    def declare():
        database = Database("database", args)
        pulumi.export("password", database.password)
        pulumi.export("secrets", database.owner_secret_arns)

    return deploy(declare)


def instance_of(deployment):
    [instance] = inputs_of(deployment, "aws:rds/instance:Instance").values()
    return instance


def test_it_is_encrypted_private_and_admits_the_cluster_alone():
    database = deploy_database()
    instance = instance_of(database)
    assert instance["storageEncrypted"]
    assert not instance["publiclyAccessible"]
    [rule] = inputs_of(database, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule").values()
    assert rule["referencedSecurityGroupId"] == "sg-cluster"
    assert (rule["fromPort"], rule["toPort"]) == (5432, 5432)


def test_it_is_spoken_to_over_tls_alone():
    database = deploy_database()
    [group] = database.of_type("aws:rds/parameterGroup:ParameterGroup")
    assert group.wanted.inputs["family"] == f"postgres{instance_of(database)['engineVersion']}"
    assert {"name": "rds.force_ssl", "value": "1"} in group.wanted.inputs["parameters"]
    assert instance_of(database)["parameterGroupName"] == group.created.outputs["name"]


def test_it_grows_is_watched_and_is_patched_outside_its_backups():
    instance = instance_of(deploy_database(storage_gib=100, max_storage_gib=500))
    assert (instance["allocatedStorage"], instance["maxAllocatedStorage"]) == (100, 500)
    assert instance["monitoringInterval"] == 60
    assert instance["performanceInsightsEnabled"]
    assert (instance["backupWindow"], instance["maintenanceWindow"]) == ("03:00-04:00", "sun:04:30-sun:05:30")


def test_its_log_groups_end_by_age_and_stand_before_it():
    database = deploy_database()
    [instance] = wanted(database, "aws:rds/instance:Instance").values()
    groups = wanted(database, "aws:cloudwatch/logGroup:LogGroup").values()
    assert {one.inputs["name"] for one in groups} == {
        f"/aws/rds/instance/{instance.inputs['identifier']}/{log}"
        for log in instance.inputs["enabledCloudwatchLogsExports"]
    }
    assert {one.inputs["retentionInDays"] for one in groups} == {90}
    assert {one.urn for one in groups} <= set(instance.dependencies)


def test_a_protected_database_leaves_a_snapshot_and_an_unprotected_one_leaves_nothing():
    database = deploy_database()
    kept = instance_of(database)
    assert kept["deletionProtection"]
    assert not kept["skipFinalSnapshot"]
    assert not kept["deleteAutomatedBackups"]
    assert kept["finalSnapshotIdentifier"].startswith("ml-platform-test-final-")
    assert wanted(database, "aws:rds/instance:Instance")["database-instance"].protect
    gone = instance_of(deploy_database(deletable=True))
    assert gone["skipFinalSnapshot"]
    assert not gone["deletionProtection"]
    assert "finalSnapshotIdentifier" not in gone


def test_every_owner_has_a_password_of_its_own_and_one_secret():
    database = deploy_database()
    values = [json.loads(one["secretString"]) for one in inputs_of(database, _VERSION).values()]
    assert {value["username"] for value in values} == {"platform", *OWNERS}
    assert {value["username"]: value["dbname"] for value in values if value["username"] != "platform"} == {
        owner: owner for owner in OWNERS
    }
    assert len({value["password"] for value in values}) == len(values)
    names = {one["namePrefix"] for one in inputs_of(database, "aws:secretsmanager/secret:Secret").values()}
    assert all(name.startswith("ml-platform/test/database-") for name in names)
    assert set(database.outputs["secrets"]) == set(OWNERS)


def test_its_passwords_are_secret_wherever_they_go():
    database = deploy_database()
    assert isinstance(database.outputs["password"], Secret)
    [instance] = wanted(database, "aws:rds/instance:Instance").values()
    assert isinstance(instance.inputs["password"], Secret)
    assert all(isinstance(one.inputs["secretString"], Secret) for one in wanted(database, _VERSION).values())


@pytest.mark.parametrize("generation", [1, 2])
def test_a_new_generation_makes_every_password_anew(generation):
    passwords = inputs_of(deploy_database(password_generation=generation), "random:index/randomPassword:RandomPassword")
    assert len(passwords) == 1 + len(OWNERS)
    assert all(one["keepers"] == {"generation": str(generation)} for one in passwords.values())


def test_its_owner_is_told_before_its_storage_is_full():
    alarms = inputs_of(deploy_database(storage_gib=100), "aws:cloudwatch/metricAlarm:MetricAlarm")
    storage = alarms["database-storage"]
    assert (storage["metricName"], storage["comparisonOperator"]) == ("FreeStorageSpace", "LessThanThreshold")
    assert storage["threshold"] == 5 * 2**30
    assert storage["dimensions"] == {"DBInstanceIdentifier": "ml-platform-test"}
    assert all(one["alarmActions"] == one["okActions"] == ["arn:topic"] for one in alarms.values())


def test_its_owner_is_told_before_it_refuses_connections():
    database = deploy_database(max_connections=200)
    [group] = inputs_of(database, "aws:rds/parameterGroup:ParameterGroup").values()
    [limit] = [one for one in group["parameters"] if one["name"] == "max_connections"]
    # AWS refuses to change it at once: PostgreSQL reads it when it starts.
    assert (limit["value"], limit["applyMethod"]) == ("200", "pending-reboot")
    alarm = inputs_of(database, "aws:cloudwatch/metricAlarm:MetricAlarm")["database-connections"]
    assert (alarm["metricName"], alarm["statistic"]) == ("DatabaseConnections", "Maximum")
    assert (alarm["comparisonOperator"], alarm["threshold"]) == ("GreaterThanOrEqualToThreshold", 160)


def test_its_owner_is_told_when_no_backup_was_finished_for_a_day_and_a_half():
    database = deploy_database()
    [rule] = database.of_type("aws:cloudwatch/eventRule:EventRule")
    pattern = json.loads(rule.wanted.inputs["eventPattern"])
    own = instance_of(database)["identifier"]
    assert matches(pattern, backup_event(own))
    assert not matches(pattern, backup_event("another"))
    assert not matches(pattern, backup_event(own, event_id="RDS-EVENT-0001"))

    alarm = inputs_of(database, "aws:cloudwatch/metricAlarm:MetricAlarm")["database-backup"]
    assert (alarm["namespace"], alarm["metricName"], alarm["statistic"]) == ("AWS/Events", "MatchedEvents", "Sum")
    assert alarm["dimensions"] == {"RuleName": rule.created.outputs["name"]}
    assert alarm["period"] * alarm["evaluationPeriods"] == 36 * 3600
    assert (alarm["comparisonOperator"], alarm["threshold"]) == ("LessThanThreshold", 1)
    assert alarm["treatMissingData"] == "breaching"


def test_the_first_backup_is_counted_and_not_missed():
    database = deploy_database()
    [instance] = wanted(database, "aws:rds/instance:Instance").values()
    alarm = wanted(database, "aws:cloudwatch/metricAlarm:MetricAlarm")["database-backup"]
    [rule] = wanted(database, "aws:cloudwatch/eventRule:EventRule").values()
    assert instance.urn in alarm.dependencies
    assert instance.urn not in ancestors(database, rule.urn)


def test_every_alarm_says_where_to_read_what_to_do():
    alarms = inputs_of(deploy_database(), "aws:cloudwatch/metricAlarm:MetricAlarm")
    sections = re.findall(r"^### (database-[a-z]+)$", (REPOSITORY / "docs" / "alerts.md").read_text(), re.MULTILINE)
    assert sorted(alarms) == sorted(sections)
    assert all(one["alarmDescription"].endswith("see docs/alerts.md") for one in alarms.values())


def backup_event(instance, event_id="RDS-EVENT-0002"):
    """What RDS sends when a backup is done (or begins, 0001), as its documentation has it."""
    detail = {
        "EventCategories": ["backup"],
        "SourceType": "DB_INSTANCE",
        "SourceIdentifier": instance,
        "EventID": event_id,
        "Message": "Finished DB Instance backup",
    }
    return {"source": "aws.rds", "detail-type": "RDS DB Instance Event", "detail": detail}


def matches(pattern, event):
    """Whether EventBridge gives `event` to a rule: each key of the pattern is there, with one of its values."""
    return all(
        matches(wish, event.get(key, {})) if isinstance(wish, dict) else event.get(key) in wish
        for key, wish in pattern.items()
    )


def test_its_owner_is_told_when_it_fails_or_falls_over():
    [events] = inputs_of(deploy_database(), "aws:rds/eventSubscription:EventSubscription").values()
    assert (events["snsTopic"], events["sourceIds"]) == ("arn:topic", ["ml-platform-test"])
    assert {"failure", "failover", "low storage"} <= set(events["eventCategories"])
